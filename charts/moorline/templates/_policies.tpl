{{/* Puts a policy of the operator's own account into force, everywhere. Of [root, name]. */}}
{{- define "moorline.fence" -}}
{{- $root := index . 0 -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "moorline.clusterName" $root }}.{{ index . 1 }}
  labels: {{- include "moorline.labels" $root | nindent 4 }}
spec:
  policyName: {{ include "moorline.clusterName" $root }}.{{ index . 1 }}
  validationActions: [Deny]
{{- end }}

{{- define "moorline.isOperator" -}}
- name: is-the-operator
  expression: request.userInfo.username == {{ include "moorline.user" . | quote }}
{{- end }}
