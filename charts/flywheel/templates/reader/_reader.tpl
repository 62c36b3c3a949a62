{{/* The namespaces whose store the reader reads with a key for each: those that the chart prepares, and those that the operator watches. */}}
{{- define "flywheel.readerNamespaces" -}}
{{- concat .Values.namespaces (include "flywheel.watched" . | fromJsonArray) (keys (.Values.reader.store.namespaces | default dict)) | uniq | sortAlpha | toJson }}
{{- end }}

{{/* Whether the reader also has a key for namespaces that the chart does not know: where the operator watches all, or the values name that key. */}}
{{- define "flywheel.readerReadsAll" -}}
{{- if or (has "*" .Values.watchNamespaces) .Values.reader.store.accessKey }}true{{ end }}
{{- end }}

{{/* The reader's account in the embedded store: dict "namespace" ("" for all namespaces) "generation". No namespace's own account has such a name. */}}
{{- define "flywheel.readerAccount" -}}
{{ ternary (printf "%s.reader.%d" .namespace (int .generation)) (printf "reader.all.%d" (int .generation)) (ne .namespace "") }}
{{- end }}

{{- define "flywheel.readerAccountKey" -}}
{{ printf "%s/%s" (include "flywheel.storeSeed" .top) (include "flywheel.readerAccount" .) | sha256sum | sha256sum | trunc 40 }}
{{- end }}

{{/* The data of the Secret through which the reader reads the store of one namespace, or of all where it is empty: dict "top" "namespace" */}}
{{- define "flywheel.readerStoreData" -}}
{{- $store := .top.Values.store }}
{{- $own := include "flywheel.storeOf" . | fromJson }}
{{- $keys := get (.top.Values.reader.store.namespaces | default dict) .namespace | default (pick .top.Values.reader.store "accessKey" "secretKey") }}
{{- if $store.embedded.enabled }}
{{- $account := dict "top" .top "namespace" .namespace "generation" ($store.embedded.keyGeneration | default 1) }}
AWS_ENDPOINT_URL: http://flywheel-store.{{ .top.Release.Namespace }}.svc:7070
AWS_ACCESS_KEY_ID: {{ include "flywheel.readerAccount" $account | quote }}
AWS_SECRET_ACCESS_KEY: {{ include "flywheel.readerAccountKey" $account | quote }}
{{- else }}
{{- with $store.endpoint }}
AWS_ENDPOINT_URL: {{ . | quote }}
{{- end }}
{{- with $keys.accessKey }}
AWS_ACCESS_KEY_ID: {{ . | quote }}
{{- end }}
{{- with $keys.secretKey }}
AWS_SECRET_ACCESS_KEY: {{ . | quote }}
{{- end }}
{{- end }}
AWS_REGION: {{ $store.region | quote }}
FLYWHEEL_BUCKET: {{ $own.bucket | quote }}
FLYWHEEL_PREFIX: {{ $own.prefix | quote }}
{{- end }}
