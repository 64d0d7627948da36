{{- /* The operator as the API server names it. */}}
{{- define "tenantry.operator" -}}
system:serviceaccount:{{ .Values.operator.namespace | default .Release.Namespace }}:{{ .Values.operator.serviceAccount }}
{{- end }}

{{- /* The condition by which a policy is about the operator alone. */}}
{{- define "tenantry.byTheOperator" -}}
- name: by-the-operator
  expression: request.userInfo.username == '{{ include "tenantry.operator" . }}'
{{- end }}

{{- /* What the operator builds in an organisation's namespace, by group and
       resource, under the only names that it may give. */}}
{{- define "tenantry.children" -}}
"":
  limitranges: [tenantry]
  resourcequotas: [tenantry]
  serviceaccounts: [tenantry-server]
  services: [server]
apps:
  statefulsets: [server]
cilium.io:
  ciliumnetworkpolicies: [tenantry-server]
gateway.networking.k8s.io:
  httproutes: [server]
networking.k8s.io:
  ingresses: [server]
  networkpolicies: [tenantry-default-deny, tenantry-server]
policy:
  poddisruptionbudgets: [server]
rbac.authorization.k8s.io:
  rolebindings: [tenantry-server]
tenantry.dev:
  mcpapprovals: [forged]
  mcpservers: [server]
{{- end }}

{{- /* The labels of a server's pods, as CEL. */}}
{{- define "tenantry.podLabels" -}}
{'tenantry.dev/managed-by': 'tenantry-operator', 'tenantry.dev/component': 'server'}
{{- end }}
