{{/* The namespaces that the operator watches, as JSON; an empty list means all. Without watchNamespaces they are those of teams, without teams its own. */}}
{{- define "flywheel.watched" -}}
{{- $watched := .Values.watchNamespaces | default .Values.namespaces | default (list .Release.Namespace) }}
{{- if has "*" $watched }}{{ $watched = list }}{{ end }}
{{- $watched | toJson }}
{{- end }}

{{/* Refuses an upgrade that would silently stop watching all namespaces, which an empty watchNamespaces meant until 22 November. */}}
{{- define "flywheel.watchCheck" -}}
{{- if and .Release.IsUpgrade (not .Values.watchNamespaces) (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "flywheel-operator") }}
{{- fail (printf "the operator watches all namespaces until now, and an empty watchNamespaces means those of `namespaces` alone: resources elsewhere would stop without a word; set watchNamespaces={*} to go on, or watchNamespaces={%s} to watch these alone" (include "flywheel.watched" . | fromJsonArray | join ",")) }}
{{- end }}
{{- end }}

{{- define "flywheel.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:flywheel-operator
{{- end }}

{{/* The head of a policy and its binding, which denies in the watched namespaces: dict "top" $ "name" "flywheel-pods" "component" "operator" */}}
{{- define "flywheel.policy" -}}
{{- $labels := include "flywheel.labels" . }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- $labels | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
  {{- with include "flywheel.watched" .top | fromJsonArray }}
  matchResources:
    namespaceSelector:
      matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels: {{- $labels | nindent 4 }}
{{- end }}

{{/* Variables of policies: who asks, whether it is a controller that makes pods and Jobs, and whether it is the cluster itself. */}}
{{- define "flywheel.writers" -}}
- name: who
  expression: request.userInfo.username
- name: controllers
  expression: {{ concat .Values.policies.controllers .Values.policies.extraWriters | toJson | squote }}
- name: system # kubelets, the scheduler, the controllers
  expression: >-
    variables.who in variables.controllers || variables.who == 'system:kube-scheduler' ||
    variables.who.startsWith('system:serviceaccount:kube-system:') || 'system:nodes' in request.userInfo.?groups.orValue([])
{{- end }}
