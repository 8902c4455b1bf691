{{/*
Names and labels. Those that select are never changed: a Deployment's selector cannot be.
*/}}
{{- define "health-check-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "health-check-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Services are named after the release, so that scripts know the name without knowing the values. */}}
{{- define "health-check-operator.serviceName" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .suffix }}
{{- end }}

{{- define "health-check-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "health-check-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
control-plane: controller-manager
{{- end }}

{{- define "health-check-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "health-check-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: health-check-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "health-check-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (printf "%s-controller-manager" (include "health-check-operator.fullname" .)) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "health-check-operator.image" -}}
{{- $image := .Values.controllerManager.manager.image }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* The container's security context, with NET_RAW added when it was asked for. */}}
{{- define "health-check-operator.containerSecurityContext" -}}
{{- $context := deepCopy .Values.controllerManager.manager.containerSecurityContext }}
{{- if .Values.icmp.netRaw }}
{{- $capabilities := default (dict) $context.capabilities }}
{{- $_ := set $capabilities "add" (append (default (list) $capabilities.add) "NET_RAW" | uniq) }}
{{- $_ := set $context "capabilities" $capabilities }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{- define "health-check-operator.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext }}
{{- if .Values.icmp.pingGroupRange }}
{{- $sysctl := dict "name" "net.ipv4.ping_group_range" "value" "0 2147483647" }}
{{- $_ := set $context "sysctls" (append (default (list) $context.sysctls) $sysctl) }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* What the operator does with its own resources: it reads them, and writes their status. */}}
{{- define "health-check-operator.rules" -}}
- apiGroups: [check.cloudders.com]
  resources: [healthchecks, notificationrules]
  verbs: [get, list, watch]
- apiGroups: [check.cloudders.com]
  resources: [healthchecks/status, notificationrules/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What checks and rules refer to, one object at a time. */}}
{{- define "health-check-operator.credentialRules" -}}
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get]
{{- end }}

{{- define "health-check-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "health-check-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "health-check-operator.endpoint" -}}
- path: /metrics
  port: metrics
  honorLabels: {{ .honorLabels }}
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
