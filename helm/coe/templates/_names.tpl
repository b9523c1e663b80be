{{/* Names, labels, the image. */}}

{{- define "coe.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough that the longest component's name fits into the 63 characters of a label. */}}
{{- define "coe.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "coe.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "coe.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects pods: it never changes, for a Deployment's selector cannot. `.component` may be missing. */}}
{{- define "coe.selector" -}}
app.kubernetes.io/name: {{ include "coe.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "coe.labels" -}}
{{ include "coe.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: coe
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "coe.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The value of a workload, else that of `defaults`: (list root "api" "podLabels"), as YAML. */}}
{{- define "coe.own" -}}
{{- $root := index . 0 -}}
{{- $workload := default dict (index $root.Values (index . 1)) -}}
{{- $key := index . 2 -}}
{{- if hasKey $workload $key -}}
{{- toYaml (index $workload $key) -}}
{{- else -}}
{{- toYaml (index $root.Values.defaults $key) -}}
{{- end -}}
{{- end -}}

{{/* Whether Prefect's services run apart from its API: where there is Redis. */}}
{{- define "coe.prefectApart" -}}
{{- if and .Values.prefect.enabled .Values.secrets.redisMessagingUrl.name -}}true{{- end -}}
{{- end -}}

{{- define "coe.prefectUrl" -}}
{{- if .Values.prefect.enabled -}}
{{- printf "http://%s-prefect-api:%v/api" (include "coe.fullname" .) .Values.prefectApi.service.port -}}
{{- else -}}
{{- .Values.prefect.url -}}
{{- end -}}
{{- end -}}

{{- define "coe.scheme" -}}
{{- if .Values.secrets.tlsCertificate.name -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* The host names under which API and gateway answer: those of their Services, of the way in, and of `config`. */}}
{{- define "coe.allowedHosts" -}}
{{- $root := . -}}
{{- $hosts := list -}}
{{- range list "api" "gateway" -}}
{{- $name := printf "%s-%s" (include "coe.fullname" $root) . -}}
{{- $space := printf "%s.%s" $name $root.Release.Namespace -}}
{{- $hosts = concat $hosts (list $name $space (printf "%s.svc" $space) (printf "%s.svc.cluster.local" $space)) -}}
{{- end -}}
{{- if $root.Values.ingress.enabled -}}{{- $hosts = concat $hosts $root.Values.ingress.hosts -}}{{- end -}}
{{- if $root.Values.httpRoute.enabled -}}{{- $hosts = concat $hosts $root.Values.httpRoute.hostnames -}}{{- end -}}
{{- with $root.Values.config.COE_ALLOWED_HOSTS -}}{{- $hosts = concat $hosts . -}}{{- end -}}
{{- toJson (uniq $hosts) -}}
{{- end -}}

{{/* The number of pods that there are at least: (list root "api"). */}}
{{- define "coe.least" -}}
{{- $workload := index (index . 0).Values (index . 1) -}}
{{- if dig "autoscaling" "enabled" false $workload -}}
{{- $workload.autoscaling.minReplicas | int -}}
{{- else if dig "scaledByOthers" false $workload -}}
2
{{- else -}}
{{- $workload.replicas | int -}}
{{- end -}}
{{- end -}}
