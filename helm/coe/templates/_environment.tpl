{{/* The variables of processes. Settings stand in the pod's template itself, so a change rolls the pods, and a roll back
     takes the old settings with it. Secrets are files, or references of Prefect's server, which reads no files. */}}

{{/* The secrets of the platform: the variable of each, and the components that need it. */}}
{{- define "coe.secretTable" -}}
databaseUrl: {variable: COE_DATABASE_URL_FILE, of: [api, gateway, central-worker, loops, sealer, migrate]}
directDatabaseUrl: {variable: COE_DATABASE_DIRECT_URL_FILE, of: [api, gateway, central-worker, loops, sealer, migrate]}
replicaDatabaseUrl: {variable: COE_DATABASE_REPLICA_URL_FILE, of: [api]}
migrateDatabaseUrl: {variable: COE_MIGRATE_DATABASE_URL_FILE, of: [migrate]}
sealerDatabaseUrl: {variable: COE_SEALER_DATABASE_URL_FILE, of: [sealer, migrate]}
kek: {variable: COE_KEK_FILE, of: [api, gateway, central-worker, loops, sealer, migrate]}
mac: {variable: COE_MAC_KEY_FILE, of: [api, gateway, central-worker, loops, sealer, migrate]}
signing: {variable: COE_SIGNING_KEY_FILE, of: [api, gateway, central-worker, loops, sealer, migrate]}
prefectAuth: {variable: COE_PREFECT_AUTH_FILE, of: [api, gateway, central-worker, loops]}
issuers: {variable: COE_ISSUERS_FILE, of: [api]}
channels: {variable: COE_CHANNELS_FILE, of: [api, central-worker, loops]}
flowSecrets: {variable: COE_SECRETS_FILE, of: [central-worker]}
checkpointSinks: {variable: COE_CHECKPOINT_SINKS_FILE, of: [sealer]}
ca: {variable: COE_CA_FILE, of: [api, gateway, central-worker, loops, sealer, migrate]}
tlsCertificate: {variable: COE_TLS_CERT_FILE, of: [api, gateway]}
tlsKey: {variable: COE_TLS_KEY_FILE, of: [api, gateway]}
{{- end -}}

{{/* The secrets that a component has: (dict "root" $ "component" "api"), as a list of {name, secret, variable}. */}}
{{- define "coe.secretsOf" -}}
{{- $found := list -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- range $name, $row := fromYaml (include "coe.secretTable" $root) -}}
{{- $secret := index $root.Values.secrets $name -}}
{{- if and $secret.name (has $component $row.of) -}}
{{- $found = append $found (dict "name" $name "secret" $secret "variable" $row.variable) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "found" $found) -}}
{{- end -}}

{{- define "coe.secretVolume" -}}
{{- with (fromYaml (include "coe.secretsOf" .)).found -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret:
          name: {{ .secret.name | quote }}
          items: [{key: {{ .secret.key | quote }}, path: {{ .name }}}]
      {{- end }}
{{- end -}}
{{- end -}}

{{/* One variable; what looks like a reference to another one is not taken as one. */}}
{{- define "coe.variable" -}}
- name: {{ .name }}
  value: {{ ternary .value (toJson .value) (kindIs "string" .value) | replace "$(" "$$(" | quote }}
{{- end -}}

{{/* The variables of a process of the platform: (dict "root" $ "component" "api" "workload" "api"). */}}
{{- define "coe.environment" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $workload := default dict (index $root.Values .workload) -}}
{{- $given := dict "COE_DATA_DIR" "/var/lib/coe" "COE_PREFECT_URL" (include "coe.prefectUrl" $root) -}}
{{- if ne $component "migrate" -}}
{{- $given = merge $given (dict "COE_PROBE_HOST" "0.0.0.0" "COE_PROBE_PORT" "8701") -}}
{{- end -}}
{{- if has $component (list "api" "gateway") -}}
{{- $given = merge $given (dict "COE_HOST" "0.0.0.0" "COE_PORT" "8700" "COE_ALLOWED_HOSTS" (include "coe.allowedHosts" $root)) -}}
{{- $delay := include "coe.own" (list $root .workload "drainDelaySeconds") -}}
{{- $given = merge $given (dict "COE_DRAIN_DELAY_SECONDS" $delay) -}}
{{- end -}}
{{- if eq $component "api" -}}
{{- $given = merge $given (dict "COE_GATEWAY" "false") -}}
{{- end -}}
{{- if has $component (list "api" "central-worker") -}}
{{- $given = merge $given (dict "COE_LOOPS" "false") -}}
{{- end -}}
{{- range (fromYaml (include "coe.secretsOf" .)).found -}}
{{- $_ := set $given .variable (printf "/run/secrets/coe/%s" .name) -}}
{{- end -}}
{{- $config := omit (merge dict (default dict $workload.config) $root.Values.config) "COE_ALLOWED_HOSTS" -}}
{{- $all := merge $given $config -}}
{{- range $name := keys $all | sortAlpha }}
{{ include "coe.variable" (dict "name" $name "value" (index $all $name)) }}
{{- end }}
{{- end -}}

{{/* How Prefect's server is set up; the same as coe/engines/prefect_server.py, which says why. */}}
{{- define "coe.prefectSettings" -}}
DO_NOT_TRACK: "1"
PREFECT_CLI_COLORS: "false"
PREFECT_CLI_PROMPT: "false"
PREFECT_SERVER_ANALYTICS_ENABLED: "false"
PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED: "true"
PREFECT_SERVER_EPHEMERAL_ENABLED: "false"
PREFECT_SERVER_LOGGING_LEVEL: WARNING
PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED: events,flow_runs
PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE: "200"
PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE: "100"
PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED: "false"
PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED: "false"
PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE: "100"
PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: "1"
PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE: "100"
{{- end -}}

{{- define "coe.prefectEnvironment" -}}
{{- $root := .root -}}
{{- $given := fromYaml (include "coe.prefectSettings" $root) -}}
{{- $given = merge (dict
      "PREFECT_API_URL" (include "coe.prefectUrl" $root)
      "PREFECT_HOME" "/var/lib/coe/prefect"
      "PREFECT_PROFILES_PATH" "/var/lib/coe/prefect/profiles.toml"
      "PREFECT_SERVER_DATABASE_MIGRATE_ON_START" (ternary "false" "true" $root.Values.migrate.enabled)
      "PREFECT_SERVER_UI_STATIC_DIRECTORY" "/tmp/prefect-ui") $given -}}
{{- if include "coe.prefectApart" $root -}}
{{- $given = merge (dict
      "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE" "prefect_redis.lease_storage"
      "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING" "prefect_redis.ordering"
      "PREFECT_SERVER_EVENTS_MESSAGING_BROKER" "prefect_redis.messaging"
      "PREFECT_SERVER_EVENTS_MESSAGING_CACHE" "prefect_redis.messaging") $given -}}
{{- end -}}
{{- $all := merge dict $root.Values.prefect.config $given -}}
{{- range $name := keys $all | sortAlpha }}
{{ include "coe.variable" (dict "name" $name "value" (index $all $name)) }}
{{- end }}
{{- $references := dict
      "PREFECT_SERVER_DATABASE_CONNECTION_URL" "prefectDatabaseUrl"
      "PREFECT_SERVER_ENCRYPTION_KEY" "prefectEncryptionKey"
      "PREFECT_SERVER_API_AUTH_STRING" "prefectAuth"
      "PREFECT_API_AUTH_STRING" "prefectAuth" -}}
{{- if include "coe.prefectApart" $root -}}
{{- $references = merge $references (dict
      "PREFECT_REDIS_MESSAGING_URL" "redisMessagingUrl"
      "PREFECT_SERVER_DOCKET_URL" "redisDocketUrl") -}}
{{- end -}}
{{- range $name := keys $references | sortAlpha }}
{{- $secret := index $root.Values.secrets (index $references $name) }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $secret.name | quote }}, key: {{ $secret.key | quote }}}}
{{- end }}
{{- end -}}
