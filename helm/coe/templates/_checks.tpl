{{/* What values.schema.json cannot say: values that contradict one another. Each message says what to change. */}}

{{/* Values of other charts that people try here, and what stands in their place. */}}
{{- define "coe.elsewhere" -}}
postgresql: the chart brings no database; name the Secret of yours in secrets.databaseUrl
redis: the chart brings no Redis; name the Secret of yours in secrets.redisMessagingUrl and secrets.redisDocketUrl
existingSecret: each secret is named in secrets, as {name, key}
env: settings stand in config, further variables in defaults.extraEnv
replicaCount: each workload has its replicas, such as api.replicas
worker: the workload is named centralWorker
{{- end -}}

{{- define "coe.checks" -}}
{{- $values := .Values -}}
{{- range $key, $place := fromYaml (include "coe.elsewhere" .) -}}
{{- if hasKey $values $key -}}{{- fail (printf "%s: %s" $key $place) -}}{{- end -}}
{{- end -}}
{{- range list "databaseUrl" "kek" "mac" "signing" "prefectAuth" -}}
{{- if not (index $values.secrets .).name -}}
{{- fail (printf "secrets.%s.name: name an existing Secret (the chart makes none; docs/operations/kubernetes.md)" .) -}}
{{- end -}}
{{- end -}}
{{- if $values.prefect.enabled -}}
{{- if $values.prefect.url -}}{{- fail "prefect.url names another server, so set prefect.enabled to false" -}}{{- end -}}
{{- range list "prefectDatabaseUrl" "prefectEncryptionKey" -}}
{{- if not (index $values.secrets .).name -}}
{{- fail (printf "secrets.%s.name: name an existing Secret, or set prefect.enabled to false and prefect.url" .) -}}
{{- end -}}
{{- end -}}
{{- else if not $values.prefect.url -}}
{{- fail "prefect.url: name the API of a Prefect server (https://…/api), or set prefect.enabled to true" -}}
{{- end -}}
{{- if ne (empty $values.secrets.redisMessagingUrl.name) (empty $values.secrets.redisDocketUrl.name) -}}
{{- fail "secrets.redisMessagingUrl and secrets.redisDocketUrl go together" -}}
{{- end -}}
{{- if and $values.prefect.enabled (not $values.secrets.redisMessagingUrl.name) -}}
{{- if or (gt (int $values.prefectApi.replicas) 1) $values.prefectApi.autoscaling.enabled -}}
{{- fail "prefectApi: more than one server needs Redis for its messages; set secrets.redisMessagingUrl and secrets.redisDocketUrl, or prefectApi.replicas to 1" -}}
{{- end -}}
{{- end -}}
{{- if ne (empty $values.secrets.tlsCertificate.name) (empty $values.secrets.tlsKey.name) -}}
{{- fail "secrets.tlsCertificate and secrets.tlsKey go together" -}}
{{- end -}}
{{- if and (not $values.secrets.tlsCertificate.name) (not $values.config.COE_TRUSTED_PROXIES) -}}
{{- fail "config.COE_TRUSTED_PROXIES: name the networks of the proxies before API and gateway, or let both serve TLS with secrets.tlsCertificate and secrets.tlsKey" -}}
{{- end -}}
{{- if and $values.ingress.enabled $values.httpRoute.enabled -}}
{{- fail "ingress and httpRoute: enable one of them" -}}
{{- end -}}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) -}}{{- fail "ingress.hosts: name at least one" -}}{{- end -}}
{{- if and $values.httpRoute.enabled (or (not $values.httpRoute.hostnames) (not $values.httpRoute.parentRefs)) -}}
{{- fail "httpRoute: name its hostnames and parentRefs" -}}
{{- end -}}
{{- $sealer := $values.sealer -}}
{{- if and (gt (int $sealer.replicas) 1) (or (not $sealer.persistence.enabled) (ne $sealer.persistence.accessMode "ReadWriteMany")) -}}
{{- fail "sealer.replicas: a second sealer continues the checkpoints of the first, so both need one volume; set sealer.persistence.accessMode to ReadWriteMany" -}}
{{- end -}}
{{- if and $values.centralWorker.scaledByOthers $values.centralWorker.autoscaling.enabled -}}
{{- fail "centralWorker: either autoscaling.enabled or scaledByOthers" -}}
{{- end -}}
{{- range list "api" "gateway" "centralWorker" "prefectApi" -}}
{{- $scaling := (index $values .).autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling: minReplicas is more than maxReplicas" .) -}}
{{- end -}}
{{- end -}}
{{- $root := . -}}
{{- range list "api" "gateway" "centralWorker" -}}
{{- $workload := index $values . -}}
{{- $delay := ternary (include "coe.own" (list $root . "drainDelaySeconds") | int) 0 (has . (list "api" "gateway")) -}}
{{- $drain := merge dict (default dict $workload.config) $values.config (dict "COE_DRAIN_SECONDS" 20) -}}
{{- $least := add $delay $drain.COE_DRAIN_SECONDS 10 | int -}}
{{- if lt (int $workload.terminationGracePeriodSeconds) $least -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: at least drainDelaySeconds + COE_DRAIN_SECONDS + 10, that is %d" . $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
