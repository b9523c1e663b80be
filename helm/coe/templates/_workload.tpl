{{/* A workload: its Deployment, and what goes with it. The same dict as for "coe.pod". */}}

{{- define "coe.workload" -}}
{{- $values := index .root.Values .workload -}}
{{- $name := printf "%s-%s" (include "coe.fullname" .root) .component -}}
{{- $scaled := or (dig "autoscaling" "enabled" false $values) (dig "scaledByOthers" false $values) -}}
{{- $alone := and (eq .component "sealer") $values.persistence.enabled (ne $values.persistence.accessMode "ReadWriteMany") -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "coe.labels" . | nindent 4 }}
spec:
  {{- if not $scaled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: {{ include "coe.own" (list .root .workload "revisionHistoryLimit") }}
  minReadySeconds: {{ include "coe.own" (list .root .workload "minReadySeconds") }}
  strategy:
    {{- if $alone }}
    type: Recreate
    {{- else }}
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
    {{- end }}
  selector:
    matchLabels:
      {{- include "coe.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "coe.podMeta" . | nindent 6 }}
    spec:
      {{- include "coe.pod" . | nindent 6 }}
{{- if and $values.pdb.enabled (gt (include "coe.least" (list .root .workload) | int) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "coe.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $values.pdb.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "coe.selector" . | nindent 6 }}
{{- end }}
{{- if dig "autoscaling" "enabled" false $values }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "coe.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $name }}}
  minReplicas: {{ $values.autoscaling.minReplicas }}
  maxReplicas: {{ $values.autoscaling.maxReplicas }}
  metrics:
    {{- toYaml $values.autoscaling.metrics | nindent 4 }}
  {{- with $values.autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $values.service }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "coe.labels" $ | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ default "ClusterIP" .type }}
  selector:
    {{- include "coe.selector" $ | nindent 4 }}
  ports:
    - name: {{ ternary "http" (include "coe.scheme" $.root) (eq $.component "prefect-api") }}
      port: {{ .port }}
      targetPort: http
{{- end }}
{{- end -}}
