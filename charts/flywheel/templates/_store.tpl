{{/* The secret key of the embedded store: from the values, otherwise from an earlier release, otherwise generated once for all templates. */}}
{{- define "flywheel.storeSecretKey" -}}
{{- $embedded := .Values.store.embedded }}
{{- if not $embedded.secretKey }}
{{- $earlier := lookup "v1" "Secret" .Release.Namespace "flywheel-store-server" | default dict }}
{{- $known := (($earlier.data | default dict).ROOT_SECRET_KEY | default "") | b64dec }}
{{- $_ := set $embedded "secretKey" ($known | default (randAlphaNum 32)) }}
{{- end }}
{{- $embedded.secretKey }}
{{- end }}

{{/* The data of the Secret through which step pods access the store. */}}
{{- define "flywheel.storeData" -}}
{{- $store := .Values.store }}
{{- if $store.embedded.enabled }}
AWS_ENDPOINT_URL: http://flywheel-store.{{ .Release.Namespace }}.svc:7070
AWS_ACCESS_KEY_ID: {{ $store.embedded.accessKey | quote }}
AWS_SECRET_ACCESS_KEY: {{ include "flywheel.storeSecretKey" . | quote }}
{{- else }}
{{- with $store.endpoint }}
AWS_ENDPOINT_URL: {{ . | quote }}
{{- end }}
{{- with $store.accessKey }}
AWS_ACCESS_KEY_ID: {{ . | quote }}
{{- end }}
{{- with $store.secretKey }}
AWS_SECRET_ACCESS_KEY: {{ . | quote }}
{{- end }}
{{- end }}
AWS_REGION: {{ $store.region | quote }}
FLYWHEEL_BUCKET: {{ $store.bucket | quote }}
FLYWHEEL_PREFIX: {{ $store.prefix | quote }}
{{- end }}
