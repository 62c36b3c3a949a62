{{/* Labels of every object: dict "top" $ "component" "operator" */}}
{{- define "flywheel.labels" -}}
{{ include "flywheel.selector" . }}
app.kubernetes.io/part-of: flywheel
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
helm.sh/chart: {{ .top.Chart.Name }}-{{ .top.Chart.Version }}
{{- end }}

{{- define "flywheel.selector" -}}
app.kubernetes.io/name: flywheel-{{ .component }}
app.kubernetes.io/instance: {{ .top.Release.Name }}
{{- end }}

{{/* Reference of an image: dict "top" $ "image" .Values.images.operator */}}
{{- define "flywheel.image" -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .top.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The securityContext of a container: what Pod Security "restricted" requires, and a read-only root filesystem. */}}
{{- define "flywheel.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "flywheel.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "flywheel.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
