"""Every metric of the platform. docs/operations/metrics.md lists them by what is declared here."""

from __future__ import annotations

from typing import Final

from coe.telemetry.declaring import Label, counter, gauge, histogram, reading

_SHORT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
DURATIONS: Final = (
    *(0.1, 0.5, 1.0, 5.0, 15.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE),
    *(_HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 60 * _DAY, 90 * _DAY),
)
"""Seconds; a process with people in it may take months."""

FLOW: Final = Label("flow", "flows of the classes PUBLIC and INTERNAL, at most COE_METRICS_FLOWS")
_STATE: Final = Label("state", "states of a run")
_KIND: Final = Label("kind", "kinds of message")
_FIELD: Final = Label("field", "root fields of the schema; several, none")
_ROUTE: Final = Label("route", "routes of the application; other")

# ------------------------------------------------------------------------------ the process

PROCESS: Final = gauge(
    "coe_process_info",
    "1, with the version and the role of the process.",
    Label("version", "one a process"),
    Label("role", "roles of processes"),
)
SCHEMA_REVISION: Final = gauge(
    "coe_schema_revision",
    "Number of an expand: the newest that this version needs (code), or that the database has.",
    Label("of", "code, database"),
)
POLICY_VERSION: Final = reading(
    "coe_policy_version", "Version of the policy in force in this process; 0 without one."
)
POLICY_IN_FORCE: Final = reading(
    "coe_policy_in_force",
    "1 if the policy in the database is in force in this process, 0 if it is refused or missing.",
)
CERTIFICATE_END: Final = gauge(
    "coe_tls_certificate_expiry_timestamp_seconds",
    "Until when the certificate that this process serves is good; not exported without TLS.",
    Label("certificate", "server"),
)
COMPUTING_REQUESTS: Final = gauge(
    "coe_computing_requests", "Requests that have a text computed, with those that wait for it."
)
COMPUTING_BUSY: Final = gauge("coe_computing_busy", "Computing processes that are at work.")
COMPUTING_SIZE: Final = reading(
    "coe_computing_size", "The most computing processes of this process."
)
COMPUTING_KILLED: Final = counter(
    "coe_computing_killed_total", "Computing processes that were ended over a limit of a request."
)

# ------------------------------------------------------------------------------ the database

OLDEST_WRITER: Final = reading(
    "coe_database_oldest_writer_seconds",
    "Age of the oldest transaction that writes into this database: later events wait for it.",
)

# ------------------------------------------------------------------------------ requests

GRAPHQL: Final = counter(
    "coe_graphql_requests_total",
    "GraphQL requests by their root field and outcome: OK, or the code of the first error.",
    _FIELD,
    Label("outcome", "OK, CANCELLED, codes of errors"),
)
GRAPHQL_SECONDS: Final = histogram(
    "coe_graphql_request_seconds", "Duration of GraphQL requests.", _FIELD, buckets=_SHORT
)
HTTP: Final = counter(
    "coe_http_requests_total",
    "HTTP requests by route, as the code writes it, and status.",
    _ROUTE,
    Label("status", "statuses of HTTP"),
)
HTTP_SECONDS: Final = histogram(
    "coe_http_request_seconds",
    "Duration of HTTP requests until their answer begins.",
    _ROUTE,
    buckets=_SHORT,
)
GATEWAY_SOCKETS: Final = gauge(
    "coe_gateway_sockets",
    "Open WebSockets of teams' workers at the gateway.",
    Label("call", "allowed calls of the gateway"),
)
GATEWAY_CALLS: Final = counter(
    "coe_gateway_calls_total",
    "Calls of teams' workers that the gateway passed to Prefect or refused.",
    Label("call", "allowed calls of the gateway; other"),
    Label("status", "statuses of HTTP"),
)

# ------------------------------------------------------------------------------ runs

RUNS: Final = gauge("coe_runs", "Runs that have not ended.", FLOW, _STATE)
RUNS_STARTED: Final = counter("coe_runs_started_total", "Runs that were requested.", FLOW)
RUN_SECONDS: Final = histogram(
    "coe_run_duration_seconds",
    "Duration of ended runs since their request, with all that they waited for.",
    FLOW,
    Label("state", "COMPLETED, FAULTED, CANCELLED"),
    buckets=DURATIONS,
)
STEPS: Final = counter(
    "coe_steps_total",
    "Ends of steps of central runs.",
    Label("kind", "task types of the language"),
    Label("state", "states of a step"),
)
FACTS: Final = counter(
    "coe_journal_facts_total", "Facts written to the journal.", Label("kind", "kinds of facts")
)
GROUP_SIZE: Final = histogram(
    "coe_journal_group_size",
    "Appends that one commit of the journal wrote.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
COMMIT_SECONDS: Final = histogram(
    "coe_journal_commit_seconds", "Duration of a write of the journal.", buckets=_SHORT
)
LEASES_EXPIRED: Final = counter(
    "coe_leases_expired_total",
    "Runs that were taken from a silent holder (held), or that no engine began in time (unbegun).",
    Label("what", "held, unbegun"),
)

# ------------------------------------------------------------------------------ the outbox

OUTBOX: Final = gauge("coe_outbox_messages", "Messages of the outbox.", _KIND)
OUTBOX_OLDEST: Final = gauge(
    "coe_outbox_oldest_seconds", "Age of the oldest message of the outbox; 0 without one.", _KIND
)
OUTBOX_HANDLED: Final = counter(
    "coe_outbox_handled_total",
    "Attempts to handle a message: done, kept for later, or failed.",
    _KIND,
    Label("outcome", "done, kept, failed"),
)

# ------------------------------------------------------------------------------ the engine

ENGINE_CALLS: Final = histogram(
    "coe_engine_call_seconds",
    "Duration of calls of Prefect by this process; the status of one without an answer is 0.",
    Label("call", "method and path, without names and ids"),
    Label("status", "statuses of HTTP; 0"),
    buckets=_SHORT,
)
WORKERS: Final = gauge(
    "coe_team_workers",
    "Teams by whether a worker of theirs asked for runs lately.",
    Label("seen", "yes, no"),
)

# ------------------------------------------------------------------------------ the audit log

UNSEALED: Final = reading("coe_audit_unsealed_events", "Events that wait for their seal.")
UNSEALED_OLDEST: Final = reading(
    "coe_audit_unsealed_oldest_seconds", "How long the oldest of them has waited; 0 without one."
)
REFUSED: Final = reading(
    "coe_audit_refused_rows", "Rows of the log that the platform did not write, and not settled."
)
SEALED: Final = counter("coe_audit_sealed_events_total", "Events that this process sealed.")
SEALER_ACTIVE: Final = reading(
    "coe_audit_sealer_active", "1 in the process that holds the lease of sealing, 0 in the others."
)
SEALER_PRESENT: Final = reading(
    "coe_audit_sealer_present", "1 if a process, whichever, holds the lease of sealing."
)
SEALER_PROBLEM: Final = reading(
    "coe_audit_sealer_problem", "1 if the last attempt of this process to seal failed."
)
SINK_MISSING: Final = gauge(
    "coe_audit_sink_missing_since_timestamp_seconds",
    "Since when the newest checkpoint of the log has been missing in a sink; 0 if it is there.",
    Label("sink", "configured sinks"),
)
BACKUP: Final = reading(
    "coe_backup_timestamp_seconds",
    "When the newest backup that was recorded (coe backup record) began; 0 without one.",
)
NONCES_USED: Final = reading(
    "coe_key_nonces_used_ratio",
    "Reserved nonces of the data key that has the most, of those after which it gets a successor.",
)
MEASURED: Final = reading(
    "coe_measured_timestamp_seconds",
    "When this process last read what is exported of the database.",
)
