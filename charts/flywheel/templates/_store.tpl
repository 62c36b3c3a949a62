{{/* The root key of the embedded store: from the values, otherwise from an earlier release, otherwise generated once for all templates. */}}
{{- define "flywheel.storeSecretKey" -}}
{{- $embedded := .Values.store.embedded }}
{{- if not $embedded.secretKey }}
{{- $earlier := lookup "v1" "Secret" .Release.Namespace "flywheel-store-server" | default dict }}
{{- $known := (($earlier.data | default dict).ROOT_SECRET_KEY | default "") | b64dec }}
{{- $_ := set $embedded "secretKey" ($known | default (randAlphaNum 32)) }}
{{- end }}
{{- $embedded.secretKey }}
{{- end }}

{{/* What the keys of all namespaces are derived from, found like the root key. It is another secret, since teams may know an old root key. */}}
{{- define "flywheel.storeSeed" -}}
{{- $embedded := .Values.store.embedded }}
{{- if not $embedded.seed }}
{{- $earlier := lookup "v1" "Secret" .Release.Namespace "flywheel-store-accounts" | default dict }}
{{- $known := ((($earlier.data | default dict).seed) | default "") | b64dec }}
{{- $_ := set $embedded "seed" ($known | default (randAlphaNum 48)) }}
{{- end }}
{{- $embedded.seed }}
{{- end }}

{{/* The name of a namespace's account of one generation of keys. No namespace has a dot in its name, so no two accounts have one name. */}}
{{- define "flywheel.storeAccount" -}}
{{ printf "%s.%d" .namespace (int .generation) }}
{{- end }}

{{- define "flywheel.storeAccountKey" -}}
{{ printf "%s/%s" (include "flywheel.storeSeed" .top) (include "flywheel.storeAccount" .) | sha256sum | sha256sum | trunc 40 }}
{{- end }}

{{/* The generations of keys that the embedded store accepts: the present one, and the one before for pods that still hold it. */}}
{{- define "flywheel.storeGenerations" -}}
{{- $newest := .Values.store.embedded.keyGeneration | default 1 | int }}
{{- if gt $newest 1 }}{{ sub $newest 1 }} {{ end }}{{ $newest }}
{{- end }}

{{/* users.json of the embedded store. */}}
{{- define "flywheel.storeUsers" -}}
{{- $accounts := dict }}
{{- if not .Values.store.shared }}
{{- range $namespace := .Values.namespaces }}
{{- range $generation := splitList " " (include "flywheel.storeGenerations" $) }}
{{- $account := dict "top" $ "namespace" $namespace "generation" $generation }}
{{- $name := include "flywheel.storeAccount" $account }}
{{- $_ := set $accounts $name (dict "access" $name "secret" (include "flywheel.storeAccountKey" $account) "role" "user") }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.reader.enabled }}
{{- range $namespace := concat (include "flywheel.readerNamespaces" . | fromJsonArray) (ternary (list "") list (ne (include "flywheel.readerReadsAll" .) "")) }}
{{- range $generation := splitList " " (include "flywheel.storeGenerations" $) }}
{{- $account := dict "top" $ "namespace" $namespace "generation" $generation }}
{{- $name := include "flywheel.readerAccount" $account }}
{{- $_ := set $accounts $name (dict "access" $name "secret" (include "flywheel.readerAccountKey" $account) "role" "user") }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "accessAccounts" $accounts | toJson }}
{{- end }}

{{/* The bucket's policy: each namespace's accounts have its folder alone, the reader's may only read it, and all may read the folders of store.readable. */}}
{{- define "flywheel.storePolicy" -}}
{{- $store := .Values.store }}
{{- $bucket := printf "arn:aws:s3:::%s" $store.bucket }}
{{- $objects := list "s3:GetObject" "s3:PutObject" "s3:DeleteObject" "s3:AbortMultipartUpload" "s3:ListMultipartUploadParts" }}
{{- $statements := list }}
{{- $everybody := list }}
{{- if not $store.shared }}
{{- range $namespace := .Values.namespaces }}
{{- $accounts := list }}
{{- range $generation := splitList " " (include "flywheel.storeGenerations" $) }}
{{- $accounts = append $accounts (include "flywheel.storeAccount" (dict "namespace" $namespace "generation" $generation)) }}
{{- end }}
{{- $everybody = concat $everybody $accounts }}
{{- $prefix := (include "flywheel.storeOf" (dict "top" $ "namespace" $namespace) | fromJson).prefix }}
{{- $folder := ternary (printf "%s/%s/" $prefix $namespace) (printf "%s/" $namespace) (ne $prefix "") }}
{{- $statements = append $statements (include "flywheel.storeStatement" (dict "accounts" $accounts "actions" $objects "bucket" $bucket "folder" $folder)) }}
{{- $statements = append $statements (include "flywheel.storeListStatement" (dict "accounts" $accounts "bucket" $bucket "folder" $folder)) }}
{{- end }}
{{- range $uri := $store.readable }}
{{- $own := printf "s3://%s/" $store.bucket }}
{{- if and $everybody (hasPrefix $own $uri) }}
{{- $folder := trimPrefix $own $uri }}
{{- $statements = append $statements (include "flywheel.storeStatement" (dict "accounts" $everybody "actions" (list "s3:GetObject") "bucket" $bucket "folder" $folder)) }}
{{- $statements = append $statements (include "flywheel.storeListStatement" (dict "accounts" $everybody "bucket" $bucket "folder" $folder)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.reader.enabled }}
{{- range $namespace := concat (include "flywheel.readerNamespaces" . | fromJsonArray) (ternary (list "") list (ne (include "flywheel.readerReadsAll" .) "")) }}
{{- $accounts := list }}
{{- range $generation := splitList " " (include "flywheel.storeGenerations" $) }}
{{- $accounts = append $accounts (include "flywheel.readerAccount" (dict "namespace" $namespace "generation" $generation)) }}
{{- end }}
{{- $prefix := (include "flywheel.storeOf" (dict "top" $ "namespace" $namespace) | fromJson).prefix }}
{{- $root := ternary (printf "%s/" $prefix) "" (ne $prefix "") }}
{{- $folder := ternary (printf "%s%s/" $root $namespace) $root (ne $namespace "") }}
{{- $statements = append $statements (include "flywheel.storeStatement" (dict "accounts" $accounts "actions" (list "s3:GetObject") "bucket" $bucket "folder" $folder)) }}
{{- $statements = append $statements (include "flywheel.storeListStatement" (dict "accounts" $accounts "bucket" $bucket "folder" $folder)) }}
{{- end }}
{{- end }}
{"Version": "2012-10-17", "Statement": [{{ join ", " $statements }}]}
{{- end }}

{{- define "flywheel.storeStatement" -}}
{{ dict "Effect" "Allow" "Principal" (dict "AWS" .accounts) "Action" .actions "Resource" (list (printf "%s/%s*" .bucket .folder)) | toJson }}
{{- end }}

{{- define "flywheel.storeListStatement" -}}
{{ dict "Effect" "Allow" "Principal" (dict "AWS" .accounts) "Action" (list "s3:ListBucket") "Resource" (list .bucket) "Condition" (dict "StringLike" (dict "s3:prefix" (list (printf "%s*" .folder)))) | toJson }}
{{- end }}

{{/* The Secret of the store in each namespace, as the operator, its pods and the policies name it. */}}
{{- define "flywheel.storeSecret" -}}
{{ .Values.store.existingSecret | default "flywheel-store" }}
{{- end }}

{{/* The settings of one namespace's store: store.namespaces.<name> over store. */}}
{{- define "flywheel.storeOf" -}}
{{- $found := pick .top.Values.store "bucket" "prefix" "accessKey" "secretKey" "createSecret" }}
{{- range $key, $value := get (.top.Values.store.namespaces | default dict) .namespace | default dict }}
{{- $_ := set $found $key $value }}
{{- end }}
{{- if .top.Values.store.existingSecret }}
{{- $_ := set $found "createSecret" false }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* The annotations of one namespace's ServiceAccounts, such as its workload identity for the store. */}}
{{- define "flywheel.identity" -}}
{{- $own := get (.top.Values.store.namespaces | default dict) .namespace | default dict }}
{{- merge (deepCopy ($own.runnerAnnotations | default dict)) .top.Values.runner.annotations | toYaml }}
{{- end }}

{{/* Annotations and labels of the ServiceAccounts of one namespace's servers, as JSON. An empty namespace: those of a namespace that the chart does not know. */}}
{{- define "flywheel.serverIdentity" -}}
{{- $own := get (.top.Values.store.namespaces | default dict) .namespace | default dict }}
{{- $values := .top.Values.serving.serviceAccount | default dict }}
{{- $annotations := merge dict ($own.serverAnnotations | default dict) ($own.runnerAnnotations | default dict) ($values.annotations | default dict) .top.Values.runner.annotations }}
{{- $labels := merge dict ($values.labels | default dict) (.top.Values.runner.labels | default dict) }}
{{- dict "annotations" $annotations "labels" $labels | toJson }}
{{- end }}

{{/* The same for each namespace that has its own, and for all others under an empty name, for the ServiceAccounts that the operator makes. */}}
{{- define "flywheel.serverIdentities" -}}
{{- $found := dict "" (include "flywheel.serverIdentity" (dict "top" . "namespace" "") | fromJson) }}
{{- range $namespace, $_ := .Values.store.namespaces | default dict }}
{{- $_ := set $found $namespace (include "flywheel.serverIdentity" (dict "top" $ "namespace" $namespace) | fromJson) }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* The data of the Secret through which the step pods of one namespace access the store. */}}
{{- define "flywheel.storeData" -}}
{{- $store := .top.Values.store }}
{{- $own := include "flywheel.storeOf" . | fromJson }}
{{- if $store.embedded.enabled }}
{{- $account := dict "top" .top "namespace" .namespace "generation" ($store.embedded.keyGeneration | default 1) }}
AWS_ENDPOINT_URL: http://flywheel-store.{{ .top.Release.Namespace }}.svc:7070
AWS_ACCESS_KEY_ID: {{ ternary $store.embedded.accessKey (include "flywheel.storeAccount" $account) ($store.shared | default false) | quote }}
AWS_SECRET_ACCESS_KEY: {{ if $store.shared }}{{ include "flywheel.storeSecretKey" .top | quote }}{{ else }}{{ include "flywheel.storeAccountKey" $account | quote }}{{ end }}
{{- else }}
{{- with $store.endpoint }}
AWS_ENDPOINT_URL: {{ . | quote }}
{{- end }}
{{- with $own.accessKey }}
AWS_ACCESS_KEY_ID: {{ . | quote }}
{{- end }}
{{- with $own.secretKey }}
AWS_SECRET_ACCESS_KEY: {{ . | quote }}
{{- end }}
{{- end }}
AWS_REGION: {{ $store.region | quote }}
FLYWHEEL_BUCKET: {{ $own.bucket | quote }}
FLYWHEEL_PREFIX: {{ $own.prefix | quote }}
{{- end }}

{{/* The folder of each namespace whose Secret the chart makes, as the operator compares sources and outputs with it. */}}
{{- define "flywheel.storeFolders" -}}
{{- $folders := list }}
{{- range $namespace := .Values.namespaces }}
{{- $own := include "flywheel.storeOf" (dict "top" $ "namespace" $namespace) | fromJson }}
{{- if $own.createSecret }}
{{- $folders = append $folders (printf "%s=s3://%s/%s%s/" $namespace $own.bucket (ternary (printf "%s/" $own.prefix) "" (ne $own.prefix "")) $namespace) }}
{{- end }}
{{- end }}
{{- join "," $folders }}
{{- end }}

{{/* Refuses a bucket and keys that the embedded store does not have, and one key for several namespaces that store.shared does not name. */}}
{{- define "flywheel.storeCheck" -}}
{{- $store := .Values.store }}
{{- if and $store.existingSecret $store.embedded.enabled }}
{{- fail "store.existingSecret names the keys of an external store, and the embedded store makes its own; set store.embedded.enabled=false, or leave existingSecret out" }}
{{- end }}
{{- if and $store.existingSecret (or $store.accessKey $store.secretKey) }}
{{- fail "store.existingSecret and store.accessKey exclude each other: the chart would create no Secret with that key; leave one of them out" }}
{{- end }}
{{- range $namespace := ternary .Values.namespaces list $store.embedded.enabled }}
{{- $bucket := (include "flywheel.storeOf" (dict "top" $ "namespace" $namespace) | fromJson).bucket }}
{{- if ne $bucket $store.bucket }}
{{- fail (printf "the embedded store has the bucket '%s' alone, and store.namespaces.%s.bucket is '%s'; leave it out, or set store.embedded.enabled=false and configure an external store" $store.bucket $namespace $bucket) }}
{{- end }}
{{- $given := get ($store.namespaces | default dict) $namespace | default dict }}
{{- if or $given.accessKey $given.secretKey }}
{{- fail (printf "the embedded store derives the key of namespace '%s' itself, so store.namespaces.%s.accessKey and secretKey would have no effect; leave them out, or set store.embedded.enabled=false and configure an external store" $namespace $namespace) }}
{{- end }}
{{- end }}
{{- range $namespace, $given := $store.namespaces | default dict }}
{{- $own := include "flywheel.storeOf" (dict "top" $ "namespace" $namespace) | fromJson }}
{{- $reason := "" }}
{{- $step := "put it into that Secret" }}
{{- if $store.existingSecret }}
{{- $reason = printf "Secret '%s', which store.existingSecret names, alone says how namespace '%s' reaches the store" $store.existingSecret $namespace }}
{{- else if not $own.createSecret }}
{{- $reason = printf "createSecret is false for namespace '%s', whose Secret flywheel-store you create" $namespace }}
{{- else if not (has $namespace $.Values.namespaces) }}
{{- $reason = printf "`namespaces` does not list '%s', so that the chart creates no Secret there" $namespace }}
{{- $step = "add the namespace" }}
{{- end }}
{{- if $reason }}
{{- range $field := list "accessKey" "secretKey" "bucket" "prefix" }}
{{- if get ($given | default dict) $field }}
{{- fail (printf "%s, and store.namespaces.%s.%s would have no effect; leave it out, or %s" $reason $namespace $field $step) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (not $store.shared) (not $store.embedded.enabled) $store.accessKey }}
{{- range $namespace := .Values.namespaces }}
{{- $own := include "flywheel.storeOf" (dict "top" $ "namespace" $namespace) | fromJson }}
{{- if and $own.createSecret (eq $own.accessKey $store.accessKey) (gt (len $.Values.namespaces) 1) }}
{{- fail (printf "store.accessKey would be one key for namespace '%s' and others, whose data it would open to each other; give each namespace its own with store.namespaces.%s.accessKey and secretKey, or say with store.shared=true that they trust each other" $namespace $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
