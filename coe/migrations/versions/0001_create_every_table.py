"""Create every table.

Revision: 0001, after .
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

DDL = (
    r"""
    CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
    END $$
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_events_refuse_update BEFORE UPDATE ON audit_events FOR EACH ROW WHEN (OLD.position IS NOT NULL OR ROW(OLD.id, OLD.at, OLD.actor, OLD.actor_kind, OLD.action, OLD.resource, OLD.team, OLD.outcome, OLD.rule, OLD.correlation_id, OLD.request_id, OLD.address, OLD.reason_sealed, OLD.reason_digest, OLD.detail_sealed, OLD.detail_digest, OLD.xid) IS DISTINCT FROM ROW(NEW.id, NEW.at, NEW.actor, NEW.actor_kind, NEW.action, NEW.resource, NEW.team, NEW.outcome, NEW.rule, NEW.correlation_id, NEW.request_id, NEW.address, NEW.reason_sealed, NEW.reason_digest, NEW.detail_sealed, NEW.detail_digest, NEW.xid)) EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_events_refuse_delete BEFORE DELETE ON audit_events FOR EACH ROW  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_events_refuse_truncate BEFORE TRUNCATE ON audit_events FOR EACH STATEMENT  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_nodes_refuse_update BEFORE UPDATE ON audit_nodes FOR EACH ROW  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_nodes_refuse_delete BEFORE DELETE ON audit_nodes FOR EACH ROW  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_nodes_refuse_truncate BEFORE TRUNCATE ON audit_nodes FOR EACH STATEMENT  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_checkpoints_refuse_update BEFORE UPDATE ON audit_checkpoints FOR EACH ROW  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_checkpoints_refuse_delete BEFORE DELETE ON audit_checkpoints FOR EACH ROW  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE OR REPLACE TRIGGER audit_checkpoints_refuse_truncate BEFORE TRUNCATE ON audit_checkpoints FOR EACH STATEMENT  EXECUTE FUNCTION audit_refuse()
    """,
    r"""
    CREATE EXTENSION IF NOT EXISTS fuzzystrmatch
    """,
)


class Xid8(sa.types.UserDefinedType[int]):
    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        return "xid8"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table('access_tokens',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_access_tokens')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_access_tokens_token_hash'))
    )
    op.create_index(op.f('ix_access_tokens_subject'), 'access_tokens', ['subject'], unique=False)
    op.create_table('audit_checkpoints',
    sa.Column('tree_size', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('root_hash', sa.LargeBinary(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('tree_size', name=op.f('pk_audit_checkpoints'))
    )
    op.create_table('audit_events',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('actor_kind', sa.Text(), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('resource', sa.Text(), nullable=False),
    sa.Column('team', sa.Text(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('rule', sa.Text(), nullable=True),
    sa.Column('correlation_id', sa.Text(), nullable=True),
    sa.Column('request_id', sa.Text(), nullable=True),
    sa.Column('address', sa.Text(), nullable=True),
    sa.Column('reason_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('reason_digest', sa.LargeBinary(), nullable=True),
    sa.Column('detail_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('detail_digest', sa.LargeBinary(), nullable=True),
    sa.Column('xid', Xid8(), server_default=sa.text('pg_current_xact_id()'), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=True),
    sa.Column('leaf_hash', sa.LargeBinary(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_events'))
    )
    op.create_index('ix_audit_events_action', 'audit_events', ['action', 'position'], unique=False)
    op.create_index('ix_audit_events_actor', 'audit_events', ['actor', 'position'], unique=False)
    op.create_index('ix_audit_events_at', 'audit_events', ['at'], unique=False)
    op.create_index('ix_audit_events_correlation', 'audit_events', ['correlation_id', 'position'], unique=False)
    op.create_index('ix_audit_events_resource', 'audit_events', ['resource', 'position'], unique=False, postgresql_ops={'resource': 'text_pattern_ops'})
    op.create_index('ix_audit_events_team', 'audit_events', ['team', 'position'], unique=False)
    op.create_index('ix_audit_events_unsealed', 'audit_events', ['xid', 'id'], unique=False, postgresql_where=sa.text('position IS NULL'))
    op.create_index('uq_audit_events_position', 'audit_events', ['position'], unique=True)
    op.create_table('audit_nodes',
    sa.Column('level', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('offset', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('level', 'offset', name=op.f('pk_audit_nodes'))
    )
    op.create_table('client_mutations',
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('key', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('answer', sa.LargeBinary(), nullable=True),
    sa.PrimaryKeyConstraint('actor', 'key', name=op.f('pk_client_mutations'))
    )
    op.create_index(op.f('ix_client_mutations_created_at'), 'client_mutations', ['created_at'], unique=False)
    op.create_table('data_keys',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('team', sa.Text(), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=False),
    sa.Column('kek_id', sa.Text(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_data_keys')),
    sa.UniqueConstraint('team', 'purpose', 'version', name=op.f('uq_data_keys_team_purpose_version'))
    )
    op.create_index(op.f('ix_data_keys_kek_id'), 'data_keys', ['kek_id'], unique=False)
    op.create_table('entries',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Enum('TEMPLATE', 'FLOW', 'SYSTEM', 'LESSON', name='entrykind', native_enum=False, length=16), nullable=False),
    sa.Column('flow_kind', sa.Enum('CENTRAL', 'LOCAL', name='flowkind', native_enum=False, length=16), nullable=True),
    sa.Column('namespace', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('summary', sa.String(), nullable=False),
    sa.Column('tags', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('systems', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('domain', sa.String(), nullable=True),
    sa.Column('data_class', sa.Enum('PUBLIC', 'INTERNAL', 'CONFIDENTIAL', 'PERSONAL', name='dataclass', native_enum=False, length=16), nullable=False),
    sa.Column('process_owner', sa.String(), nullable=True),
    sa.Column('deputy', sa.String(), nullable=True),
    sa.Column('lifecycle', sa.Enum('DRAFT', 'IN_REVIEW', 'PUBLISHED', 'DEPRECATED', 'RETIRED', name='lifecycle', native_enum=False, length=16), nullable=False),
    sa.Column('current_version', sa.String(), nullable=True),
    sa.Column('current_version_id', sa.Uuid(), nullable=True),
    sa.Column('uses', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('search_title', sa.String(), nullable=False),
    sa.Column('search_tags', sa.String(), nullable=False),
    sa.Column('search_summary', sa.String(), nullable=False),
    sa.Column('search_body', sa.String(), nullable=False),
    sa.Column('search_words', sa.String(), nullable=False),
    sa.Column('search', postgresql.TSVECTOR(), sa.Computed("setweight(to_tsvector('english'::regconfig, search_title), 'A') || setweight(to_tsvector('english'::regconfig, search_tags), 'B') || setweight(to_tsvector('english'::regconfig, search_summary), 'B') || setweight(to_tsvector('english'::regconfig, search_body), 'C')", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_entries')),
    sa.UniqueConstraint('namespace', 'name', name=op.f('uq_entries_namespace_name'))
    )
    op.create_index(op.f('ix_entries_current_version_id'), 'entries', ['current_version_id'], unique=False)
    op.create_index('ix_entries_search', 'entries', ['search'], unique=False, postgresql_using='gin')
    op.create_index('ix_entries_search_words', 'entries', ['search_words'], unique=False, postgresql_using='gin', postgresql_ops={'search_words': 'gin_trgm_ops'})
    op.create_index(op.f('ix_entries_team'), 'entries', ['team'], unique=False)
    op.create_table('journal_entries',
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=False),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('payload_sealed', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('run_id', 'position', name=op.f('pk_journal_entries'))
    )
    op.create_table('outbox',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('subject', sa.Uuid(), nullable=False),
    sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox'))
    )
    op.create_index(op.f('ix_outbox_due_at'), 'outbox', ['due_at'], unique=False)
    op.create_index(op.f('ix_outbox_subject'), 'outbox', ['subject'], unique=False)
    op.create_table('policy_rules',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('ptype', sa.String(), nullable=False),
    sa.Column('fields', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('note', sa.String(), nullable=True),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('origin', sa.String(), nullable=False),
    sa.CheckConstraint("array_position(fields, '') IS NULL", name=op.f('ck_policy_rules_no_empty_field')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_policy_rules')),
    sa.UniqueConstraint('ptype', 'fields', name=op.f('uq_policy_rules_ptype_fields'))
    )
    op.create_table('policy_state',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_policy_state_one_row')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_policy_state'))
    )
    op.create_table('runs',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('flow', sa.String(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('local', sa.Boolean(), nullable=False),
    sa.Column('engine', sa.String(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('data_class', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('REQUESTED', 'RUNNING', 'WAITING', 'COMPLETED', 'FAULTED', 'CANCELLED', name='runstate', native_enum=False, length=16), nullable=False),
    sa.Column('correlation_id', sa.String(), nullable=False),
    sa.Column('parent_id', sa.Uuid(), nullable=True),
    sa.Column('parent_key', sa.String(), nullable=True),
    sa.Column('started_by', sa.String(), nullable=False),
    sa.Column('started_by_kind', sa.String(), nullable=False),
    sa.Column('requester', sa.String(), nullable=False),
    sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('input_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('output_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('error_type', sa.String(), nullable=True),
    sa.Column('error_status', sa.Integer(), nullable=True),
    sa.Column('error_instance', sa.String(), nullable=True),
    sa.Column('error_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('trace_id', sa.String(), nullable=True),
    sa.Column('engine_run_id', sa.String(), nullable=True),
    sa.Column('engine_url', sa.String(), nullable=True),
    sa.Column('holder', sa.String(), nullable=True),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('journal_length', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['parent_id'], ['runs.id'], name=op.f('fk_runs_parent_id_runs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_runs')),
    sa.UniqueConstraint('parent_id', 'parent_key', name=op.f('uq_runs_parent_id_parent_key'))
    )
    op.create_index(op.f('ix_runs_correlation_id'), 'runs', ['correlation_id'], unique=False)
    op.create_index(op.f('ix_runs_flow_requested_at'), 'runs', ['flow', 'requested_at'], unique=False)
    op.create_index('ix_runs_lease', 'runs', ['lease_until'], unique=False, postgresql_where=sa.text('lease_until IS NOT NULL'))
    op.create_index(op.f('ix_runs_requested_at'), 'runs', ['requested_at'], unique=False)
    op.create_index(op.f('ix_runs_requester'), 'runs', ['requester'], unique=False)
    op.create_index(op.f('ix_runs_state'), 'runs', ['state'], unique=False)
    op.create_index(op.f('ix_runs_team_requested_at'), 'runs', ['team', 'requested_at'], unique=False)
    op.create_index(op.f('ix_runs_version_id'), 'runs', ['version_id'], unique=False)
    op.create_table('teams',
    sa.Column('slug', sa.String(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('domain', sa.String(), nullable=True),
    sa.Column('contact', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('slug', name=op.f('pk_teams')),
    sa.UniqueConstraint('id', name=op.f('uq_teams_id'))
    )
    op.create_table('entry_versions',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Enum('TEMPLATE', 'FLOW', 'SYSTEM', 'LESSON', name='entrykind', native_enum=False, length=16), nullable=False),
    sa.Column('flow_kind', sa.Enum('CENTRAL', 'LOCAL', name='flowkind', native_enum=False, length=16), nullable=True),
    sa.Column('namespace', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('data_class', sa.Enum('PUBLIC', 'INTERNAL', 'CONFIDENTIAL', 'PERSONAL', name='dataclass', native_enum=False, length=16), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('precedence', sa.String(collation='C'), nullable=False),
    sa.Column('lifecycle', sa.Enum('DRAFT', 'IN_REVIEW', 'PUBLISHED', 'DEPRECATED', 'RETIRED', name='lifecycle', native_enum=False, length=16), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('body_digest', sa.String(), nullable=False),
    sa.Column('signature', sa.String(), nullable=False),
    sa.Column('engine', sa.String(), nullable=True),
    sa.Column('changelog', sa.String(), nullable=True),
    sa.Column('card', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('content_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('schemas_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('problems_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(), nullable=False),
    sa.Column('submitted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('submitted_by', sa.String(), nullable=True),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('published_by', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['entry_id'], ['entries.id'], name=op.f('fk_entry_versions_entry_id_entries')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_entry_versions')),
    sa.UniqueConstraint('entry_id', 'version', name=op.f('uq_entry_versions_entry_id_version'))
    )
    op.create_index(op.f('ix_entry_versions_digest'), 'entry_versions', ['digest'], unique=False)
    op.create_index(op.f('ix_entry_versions_entry_id'), 'entry_versions', ['entry_id'], unique=False)
    op.create_table('human_tasks',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('flow', sa.String(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('data_class', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('OPEN', 'CLAIMED', 'COMPLETED', 'ESCALATED', 'CANCELLED', 'EXPIRED', name='humantaskstate', native_enum=False, length=16), nullable=False),
    sa.Column('requester', sa.String(), nullable=False),
    sa.Column('candidate_roles', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('exclude', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('outcomes', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('approvals_needed', sa.Integer(), nullable=False),
    sa.Column('assignee', sa.String(), nullable=True),
    sa.Column('outcome', sa.String(), nullable=True),
    sa.Column('title_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('instructions_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('form_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('context_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('answer_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('reason_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stages', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('completed_by', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_human_tasks_run_id_runs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_human_tasks')),
    sa.UniqueConstraint('run_id', 'key', name=op.f('uq_human_tasks_run_id_key'))
    )
    op.create_index(op.f('ix_human_tasks_assignee'), 'human_tasks', ['assignee'], unique=False)
    op.create_index(op.f('ix_human_tasks_candidate_roles'), 'human_tasks', ['candidate_roles'], unique=False, postgresql_using='gin')
    op.create_index(op.f('ix_human_tasks_state_created_at'), 'human_tasks', ['state', 'created_at'], unique=False)
    op.create_table('memberships',
    sa.Column('team', sa.Text(), nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('display_name', sa.String(), nullable=False),
    sa.Column('roles', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('origin', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['team'], ['teams.slug'], name=op.f('fk_memberships_team_teams'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('team', 'subject', name=op.f('pk_memberships'))
    )
    op.create_index(op.f('ix_memberships_subject'), 'memberships', ['subject'], unique=False)
    op.create_table('run_inbox',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('arrival', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('dedupe', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('payload_sealed', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_run_inbox_run_id_runs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_run_inbox')),
    sa.UniqueConstraint('run_id', 'dedupe', name=op.f('uq_run_inbox_run_id_dedupe'))
    )
    op.create_table('run_steps',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('place', sa.BigInteger(), nullable=False),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('RUNNING', 'WAITING', 'COMPLETED', 'FAULTED', 'CANCELLED', 'SKIPPED', 'RETRYING', name='stepstate', native_enum=False, length=16), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('iteration', sa.String(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('waited_seconds', sa.Float(), nullable=False),
    sa.Column('error_type', sa.String(), nullable=True),
    sa.Column('error_status', sa.Integer(), nullable=True),
    sa.Column('error_instance', sa.String(), nullable=True),
    sa.Column('error_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('output_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_run_steps_run_id_runs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_run_steps')),
    sa.UniqueConstraint('run_id', 'key', name=op.f('uq_run_steps_run_id_key'))
    )
    op.create_table('timers',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Enum('MACHINE', 'TASK', name='timerkind', native_enum=False, length=16), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_timers_run_id_runs')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_timers')),
    sa.UniqueConstraint('run_id', 'kind', 'key', name=op.f('uq_timers_run_id_kind_key'))
    )
    op.create_index(op.f('ix_timers_due_at'), 'timers', ['due_at'], unique=False)
    op.create_table('entry_aliases',
    sa.Column('entry_id', sa.Uuid(), nullable=False),
    sa.Column('alias', sa.String(), nullable=False),
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('set_by', sa.String(), nullable=False),
    sa.Column('set_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['entry_id'], ['entries.id'], name=op.f('fk_entry_aliases_entry_id_entries')),
    sa.ForeignKeyConstraint(['version_id'], ['entry_versions.id'], name=op.f('fk_entry_aliases_version_id_entry_versions')),
    sa.PrimaryKeyConstraint('entry_id', 'alias', name=op.f('pk_entry_aliases'))
    )
    op.create_index(op.f('ix_entry_aliases_version_id'), 'entry_aliases', ['version_id'], unique=False)
    op.create_table('entry_links',
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Enum('CALLS', 'SYSTEM', name='linkkind', native_enum=False, length=16), nullable=False),
    sa.Column('target_namespace', sa.String(), nullable=False),
    sa.Column('target_name', sa.String(), nullable=False),
    sa.Column('selector', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['version_id'], ['entry_versions.id'], name=op.f('fk_entry_links_version_id_entry_versions')),
    sa.PrimaryKeyConstraint('version_id', 'kind', 'target_namespace', 'target_name', 'selector', name=op.f('pk_entry_links'))
    )
    op.create_index('ix_entry_links_target', 'entry_links', ['target_namespace', 'target_name'], unique=False)
    op.create_table('human_task_approvals',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('task_id', sa.Uuid(), nullable=False),
    sa.Column('by', sa.String(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('decision', sa.String(), nullable=False),
    sa.Column('comment_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('answer_sealed', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['human_tasks.id'], name=op.f('fk_human_task_approvals_task_id_human_tasks')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_approvals')),
    sa.UniqueConstraint('task_id', 'by', name=op.f('uq_human_task_approvals_task_id_by'))
    )
    op.create_table('human_task_escalations',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('task_id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('to', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['human_tasks.id'], name=op.f('fk_human_task_escalations_task_id_human_tasks')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_escalations'))
    )
    op.create_index(op.f('ix_human_task_escalations_task_id'), 'human_task_escalations', ['task_id'], unique=False)
    op.create_table('template_origins',
    sa.Column('flow_version_id', sa.Uuid(), nullable=False),
    sa.Column('flow_entry_id', sa.Uuid(), nullable=False),
    sa.Column('flow_team', sa.String(), nullable=False),
    sa.Column('template_version_id', sa.Uuid(), nullable=False),
    sa.Column('template_entry_id', sa.Uuid(), nullable=False),
    sa.Column('parameters_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['flow_entry_id'], ['entries.id'], name=op.f('fk_template_origins_flow_entry_id_entries')),
    sa.ForeignKeyConstraint(['flow_version_id'], ['entry_versions.id'], name=op.f('fk_template_origins_flow_version_id_entry_versions')),
    sa.ForeignKeyConstraint(['template_entry_id'], ['entries.id'], name=op.f('fk_template_origins_template_entry_id_entries')),
    sa.ForeignKeyConstraint(['template_version_id'], ['entry_versions.id'], name=op.f('fk_template_origins_template_version_id_entry_versions')),
    sa.PrimaryKeyConstraint('flow_version_id', name=op.f('pk_template_origins'))
    )
    op.create_index(op.f('ix_template_origins_flow_entry_id'), 'template_origins', ['flow_entry_id'], unique=False)
    op.create_index(op.f('ix_template_origins_template_entry_id'), 'template_origins', ['template_entry_id'], unique=False)
    op.create_index(op.f('ix_template_origins_template_version_id'), 'template_origins', ['template_version_id'], unique=False)
    op.create_table('version_approvals',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('by', sa.String(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('decision', sa.Enum('APPROVED', 'REFUSED', name='verdict', native_enum=False, length=16), nullable=False),
    sa.Column('comment', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['version_id'], ['entry_versions.id'], name=op.f('fk_version_approvals_version_id_entry_versions')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_version_approvals'))
    )
    op.create_index(op.f('ix_version_approvals_version_id'), 'version_approvals', ['version_id'], unique=False)
    for statement in DDL:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    op.drop_index(op.f('ix_version_approvals_version_id'), table_name='version_approvals')
    op.drop_table('version_approvals')
    op.drop_index(op.f('ix_template_origins_template_version_id'), table_name='template_origins')
    op.drop_index(op.f('ix_template_origins_template_entry_id'), table_name='template_origins')
    op.drop_index(op.f('ix_template_origins_flow_entry_id'), table_name='template_origins')
    op.drop_table('template_origins')
    op.drop_index(op.f('ix_human_task_escalations_task_id'), table_name='human_task_escalations')
    op.drop_table('human_task_escalations')
    op.drop_table('human_task_approvals')
    op.drop_index('ix_entry_links_target', table_name='entry_links')
    op.drop_table('entry_links')
    op.drop_index(op.f('ix_entry_aliases_version_id'), table_name='entry_aliases')
    op.drop_table('entry_aliases')
    op.drop_index(op.f('ix_timers_due_at'), table_name='timers')
    op.drop_table('timers')
    op.drop_table('run_steps')
    op.drop_table('run_inbox')
    op.drop_index(op.f('ix_memberships_subject'), table_name='memberships')
    op.drop_table('memberships')
    op.drop_index(op.f('ix_human_tasks_state_created_at'), table_name='human_tasks')
    op.drop_index(op.f('ix_human_tasks_candidate_roles'), table_name='human_tasks', postgresql_using='gin')
    op.drop_index(op.f('ix_human_tasks_assignee'), table_name='human_tasks')
    op.drop_table('human_tasks')
    op.drop_index(op.f('ix_entry_versions_entry_id'), table_name='entry_versions')
    op.drop_index(op.f('ix_entry_versions_digest'), table_name='entry_versions')
    op.drop_table('entry_versions')
    op.drop_table('teams')
    op.drop_index(op.f('ix_runs_version_id'), table_name='runs')
    op.drop_index(op.f('ix_runs_team_requested_at'), table_name='runs')
    op.drop_index(op.f('ix_runs_state'), table_name='runs')
    op.drop_index(op.f('ix_runs_requester'), table_name='runs')
    op.drop_index(op.f('ix_runs_requested_at'), table_name='runs')
    op.drop_index('ix_runs_lease', table_name='runs', postgresql_where=sa.text('lease_until IS NOT NULL'))
    op.drop_index(op.f('ix_runs_flow_requested_at'), table_name='runs')
    op.drop_index(op.f('ix_runs_correlation_id'), table_name='runs')
    op.drop_table('runs')
    op.drop_table('policy_state')
    op.drop_table('policy_rules')
    op.drop_index(op.f('ix_outbox_subject'), table_name='outbox')
    op.drop_index(op.f('ix_outbox_due_at'), table_name='outbox')
    op.drop_table('outbox')
    op.drop_table('journal_entries')
    op.drop_index(op.f('ix_entries_team'), table_name='entries')
    op.drop_index('ix_entries_search_words', table_name='entries', postgresql_using='gin', postgresql_ops={'search_words': 'gin_trgm_ops'})
    op.drop_index('ix_entries_search', table_name='entries', postgresql_using='gin')
    op.drop_index(op.f('ix_entries_current_version_id'), table_name='entries')
    op.drop_table('entries')
    op.drop_index(op.f('ix_data_keys_kek_id'), table_name='data_keys')
    op.drop_table('data_keys')
    op.drop_index(op.f('ix_client_mutations_created_at'), table_name='client_mutations')
    op.drop_table('client_mutations')
    op.drop_table('audit_nodes')
    op.drop_index('uq_audit_events_position', table_name='audit_events')
    op.drop_index('ix_audit_events_unsealed', table_name='audit_events', postgresql_where=sa.text('position IS NULL'))
    op.drop_index('ix_audit_events_team', table_name='audit_events')
    op.drop_index('ix_audit_events_resource', table_name='audit_events', postgresql_ops={'resource': 'text_pattern_ops'})
    op.drop_index('ix_audit_events_correlation', table_name='audit_events')
    op.drop_index('ix_audit_events_at', table_name='audit_events')
    op.drop_index('ix_audit_events_actor', table_name='audit_events')
    op.drop_index('ix_audit_events_action', table_name='audit_events')
    op.drop_table('audit_events')
    op.drop_table('audit_checkpoints')
    op.drop_index(op.f('ix_access_tokens_subject'), table_name='access_tokens')
    op.drop_table('access_tokens')
