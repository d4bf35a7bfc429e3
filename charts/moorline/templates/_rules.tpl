{{/* What the operator may do where SessionClusters are. What it may do of that to which objects is
narrowed further by policies/. */}}
{{- define "moorline.rules" -}}
- apiGroups: [moorline.io]
  resources: [sessionclusters]
  verbs: [get, list, watch]
- apiGroups: [moorline.io]
  resources: [sessionclusters/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch, update]
{{- end }}

{{- define "moorline.subjects" -}}
- kind: ServiceAccount
  name: {{ include "moorline.name" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
