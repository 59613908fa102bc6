{{- define "finetune-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "finetune-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "finetune-operator.fullname" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "finetune-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "finetune-operator.labels" -}}
{{ include "finetune-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: finetune-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* What is added to the metadata of the CustomResourceDefinition. */}}
{{- define "finetune-operator.crdMetadata" -}}
labels:
  {{- include "finetune-operator.labels" . | nindent 2 }}
{{- $own := dict }}
{{- if .Values.crds.keep }}
{{- $_ := set $own "helm.sh/resource-policy" "keep" }}
{{- end }}
{{- with merge $own .Values.crds.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The namespaces of training pods, as a selector of namespaces. */}}
{{- define "finetune-operator.trainerNamespaces" -}}
{{- with .Values.config.watch.namespaces }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: In
    values:
      {{- toYaml . | nindent 6 }}
{{- else -}}
{}
{{- end }}
{{- end }}

{{- /* How many operators; several only with an election, or all of them would act. */}}
{{- define "finetune-operator.replicas" -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.leaderElection.enabled) }}
{{- fail "replicaCount: several operators need leaderElection.enabled: true" }}
{{- end }}
{{- .Values.replicaCount }}
{{- end }}

{{- /* The operator's configuration file, in the words of its own model. */}}
{{- define "finetune-operator.config" -}}
{{- $server := dict "port" (int .Values.metrics.port) }}
{{- $own := dict "server" $server }}
{{- if .Values.leaderElection.enabled }}
{{- $lease := dict "enabled" true "namespace" .Release.Namespace "name" (include "finetune-operator.fullname" .) }}
{{- $_ := set $own "leaderElection" $lease }}
{{- end }}
{{- $config := merge $own (deepCopy .Values.config) }}
{{- toYaml $config }}
{{- end }}

{{- /* Says "yes" where monitors and rules are made; by monitoring.renderMode, where their CRDs are missing. */}}
{{- define "finetune-operator.monitors" -}}
{{- $there := .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}
{{- if and (eq .Values.monitoring.renderMode "failIfMissing") (not $there) }}
{{- fail "monitoring.renderMode: the cluster has no monitoring.coreos.com/v1; install the Prometheus operator or turn monitors and rules off" }}
{{- end }}
{{- if or $there (ne .Values.monitoring.renderMode "skipIfMissing") }}yes{{ end }}
{{- end }}

{{- /* All that the operator may do, with the reason for each rule. */}}
{{- define "finetune-operator.rules" -}}
# the jobs: watched, never changed but for their status, deleted when ttlSecondsAfterFinished is over
- apiGroups: [finetune.dev]
  resources: [finetunejobs]
  verbs: [get, list, watch, delete]
- apiGroups: [finetune.dev]
  resources: [finetunejobs/status]
  verbs: [patch]
# children block the deletion of their job until they are gone; naming it in an owner reference asks for this
- apiGroups: [finetune.dev]
  resources: [finetunejobs/finalizers]
  verbs: [update]
# one batch/v1 Job per attempt, deleted to suspend or cancel it
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# one JobSet per attempt on several nodes, made where profiles.trainer.multiNode asks for it; those of before are ended
- apiGroups: [jobset.x-k8s.io]
  resources: [jobsets]
  {{- if eq (.Values.config.profiles.trainer.multiNode | default "jobs") "jobs" }}
  verbs: [get, list, watch, delete]
  {{- else }}
  verbs: [get, list, watch, create, delete]
  {{- end }}
# why a pod waits, how it ended; deleted where somebody deleted its Job and left it behind
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# whether a ConfigMap that a job names is there
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# the claim of a job; whether a claim that a job names is there
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
# by which the pods of a job on several nodes find each other
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
# what happened to a job, for `kubectl describe`; what keeps a pod from starting (a quota, a volume)
- apiGroups: [""]
  resources: [events]
  verbs: [create, list, patch]
# why Kueue, where there is one, gives a job no place in its queue
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end }}
