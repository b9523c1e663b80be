{{/* The pod of one component: (dict "root" $ "component" "central-worker" "workload" "centralWorker" "args" (list …)).
     Further: "prefect" for a process of Prefect, "service" for one that serves at 8700 or 4200. */}}

{{- define "coe.podMeta" -}}
labels:
  {{- include "coe.labels" . | nindent 2 }}
  {{- with fromYaml (include "coe.own" (list .root .workload "podLabels")) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with fromYaml (include "coe.own" (list .root .workload "podAnnotations")) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every pod has, that of the migration too. */}}
{{- define "coe.podBase" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with fromYaml (include "coe.own" (list .root .workload "podSecurityContext")) }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "affinity" }}
{{- with fromYaml (include "coe.own" (list $.root $.workload $key)) }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with fromYamlArray (include "coe.own" (list .root .workload "tolerations")) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "coe.containerBase" -}}
image: {{ include "coe.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with fromYaml (include "coe.own" (list .root .workload "securityContext")) }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with index .root.Values .workload "resources" }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "coe.mounts" -}}
- {name: data, mountPath: /var/lib/coe}
- {name: tmp, mountPath: /tmp}
{{- if and (not .prefect) (fromYaml (include "coe.secretsOf" .)).found }}
- {name: secrets, mountPath: /run/secrets/coe, readOnly: true}
{{- end }}
{{- end -}}

{{- define "coe.volumes" -}}
- name: data
  {{- if and (eq .component "sealer") .root.Values.sealer.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-checkpoints" (include "coe.fullname" .root)) .root.Values.sealer.persistence.existingClaim | quote }}
  {{- else }}
  emptyDir: {sizeLimit: 1Gi}
  {{- end }}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if not .prefect }}
{{ include "coe.secretVolume" . }}
{{- end }}
{{- end -}}

{{- define "coe.probes" -}}
{{- if eq .component "prefect-api" -}}
startupProbe:
  httpGet: {path: /api/health, port: http}
  periodSeconds: 2
  failureThreshold: 90
livenessProbe:
  httpGet: {path: /api/health, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /api/ready, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
{{- else if not .prefect -}}
startupProbe:
  httpGet: {path: /startupz, port: probes}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: probes}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: probes}
  periodSeconds: 3
  timeoutSeconds: 6
  failureThreshold: 2
{{- end -}}
{{- end -}}

{{- define "coe.pod" -}}
{{- $own := list .root .workload -}}
{{- include "coe.podBase" . | trim }}
{{- $account := include "coe.own" (append $own "serviceAccountName") | trimAll "\"" }}
{{- with $account }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- $priority := include "coe.own" (append $own "priorityClassName") | trimAll "\"" }}
{{- with $priority }}
priorityClassName: {{ . | quote }}
{{- end }}
terminationGracePeriodSeconds: {{ index .root.Values .workload "terminationGracePeriodSeconds" }}
{{- $spread := include "coe.own" (append $own "topologySpreadConstraints") }}
{{- if eq $spread "[]" }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "coe.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- else if ne $spread "null" }}
topologySpreadConstraints:
  {{- $spread | nindent 2 }}
{{- end }}
{{- with fromYamlArray (include "coe.own" (append $own "extraInitContainers")) }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .component }}
    {{- include "coe.containerBase" . | nindent 4 }}
    {{- with .command }}
    command: {{ toJson . }}
    {{- end }}
    args: {{ toJson .args }}
    env:
      {{- if .prefect }}
      {{- include "coe.prefectEnvironment" . | trim | nindent 6 }}
      {{- else }}
      {{- include "coe.environment" . | trim | nindent 6 }}
      {{- end }}
      {{- with fromYamlArray (include "coe.own" (append $own "extraEnv")) }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with fromYamlArray (include "coe.own" (append $own "extraEnvFrom")) }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if or .port (not .prefect) }}
    ports:
      {{- with .port }}
      - {name: http, containerPort: {{ . }}}
      {{- end }}
      {{- if not .prefect }}
      - {name: probes, containerPort: 8701}
      {{- end }}
    {{- end }}
    {{- with include "coe.probes" . }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- /* The platform's own processes do it themselves: COE_DRAIN_DELAY_SECONDS. */}}
    {{- if and .port .prefect }}
    lifecycle:
      preStop: {sleep: {seconds: {{ include "coe.own" (append $own "drainDelaySeconds") }}}}
    {{- end }}
    volumeMounts:
      {{- include "coe.mounts" . | nindent 6 }}
      {{- with fromYamlArray (include "coe.own" (append $own "extraVolumeMounts")) }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with fromYamlArray (include "coe.own" (append $own "extraContainers")) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "coe.volumes" . | nindent 2 }}
  {{- with fromYamlArray (include "coe.own" (append $own "extraVolumes")) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
