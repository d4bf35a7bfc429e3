{{/* What namespaced objects are called, or begin with; a Service takes no dots. */}}
{{- define "moorline.name" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if contains "moorline" $name }}{{ $name }}{{ else }}{{ $name }}-moorline{{ end -}}
{{- end }}

{{/* What cluster-scoped objects are called, or begin with: names hold no dot, so it is unique. */}}
{{- define "moorline.clusterName" -}}
{{ include "moorline.name" . }}.{{ .Release.Namespace }}
{{- end }}

{{/* The Secret that the webhook's certificates are kept in. */}}
{{- define "moorline.secret" -}}
{{ include "moorline.name" . }}-webhook
{{- end }}

{{/* The Lease of the leading replica. */}}
{{- define "moorline.lease" -}}
{{ include "moorline.name" . }}-leader
{{- end }}

{{/* The operator as the API server knows it. */}}
{{- define "moorline.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "moorline.name" . }}
{{- end }}

{{- define "moorline.selectorLabels" -}}
app.kubernetes.io/name: moorline
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "moorline.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: moorline
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: moorline
{{- end }}

{{/* Of [image, default tag]. */}}
{{- define "moorline.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 1) }}
{{- end -}}
{{- end }}

{{- define "moorline.operatorImage" -}}
{{ include "moorline.image" (list .Values.image .Chart.AppVersion) }}
{{- end }}

{{- define "moorline.sidecarImage" -}}
{{ include "moorline.image" (list .Values.sidecar.image .Chart.AppVersion) }}
{{- end }}

{{/* The namespaces whose pods are ours to change. Those of the node and of the control plane are
not: a cluster must be able to start while the operator does not run. */}}
{{- define "moorline.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: [kube-system, kube-node-lease]
  {{- with .Values.watchNamespaces }}
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toJson . }}
  {{- end }}
{{- end }}
