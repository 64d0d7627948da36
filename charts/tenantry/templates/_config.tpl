{{- /* The operator's settings. It refuses a file with a field that it does not know. */}}
{{- define "tenantry.config" -}}
server:
  image: {{ include "tenantry.image" (dict "root" . "image" .Values.server.image) | quote }}
  imagePullPolicy: {{ .Values.server.image.pullPolicy }}
operator:
  namespace: {{ .Release.Namespace }}
  serviceAccount: {{ .Values.serviceAccount.name }}
network:
  gateways: {{ toJson .Values.network.gateways }}
  scrapers: {{ toJson .Values.network.scrapers }}
  dns: {{ toJson .Values.network.dns }}
  canary: {{ .Values.serviceAccount.name }}-canary.{{ .Release.Namespace }}.svc:9091
allow: {{ toJson .Values.allow }}
{{- with .Values.quota }}
quota: {{ toJson . }}
{{- end }}
{{- if .Values.sandbox.enabled }}
sandbox:
  baseUrls:
    meta: http://fake-meta.{{ .Release.Namespace }}.svc.cluster.local:8080
  egress:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}}
    podSelector:
      matchLabels:
        {{- include "tenantry.fakeMetaLabels" . | nindent 8 }}
    port: 8080
{{- end }}
{{- end }}
