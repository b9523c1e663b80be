"""Create every table: the schema of the first release.

Revision: 0031, the first. The revisions before it are history: a database that they made and that
stands at 0031 is as this one makes it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0031'
kind = 'expand'

TEXTS = (
    'actor',
    'actor_kind',
    'action',
    'resource',
    'team',
    'outcome',
    'rule',
    'correlation_id',
    'request_id',
    'address',
)
CONTENT = (
    'id',
    'at',
    *TEXTS,
    'reason_sealed',
    'reason_digest',
    'detail_sealed',
    'detail_digest',
    'xid',
    'written_at',
    'mac',
    'stored_at',
)
FUNCTIONS = (
    f"""
    CREATE FUNCTION audit_accept() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$
        BEGIN
          IF NEW.position IS NOT NULL OR NEW.leaf_hash IS NOT NULL OR NEW.refused IS NOT NULL
            OR NEW.xid <> pg_current_xact_id() OR NEW.at NOT BETWEEN '1970-01-02' AND '9999-01-01'
            OR greatest({', '.join(f'octet_length(NEW.{name})' for name in TEXTS)}) > 2000
          THEN
            RAISE EXCEPTION 'this is not how events of the audit log are written'
              USING ERRCODE = 'restrict_violation';
          END IF;
          NEW.stored_at := clock_timestamp();
          IF abs(extract(epoch FROM NEW.written_at - NEW.stored_at)) > 300 THEN
            RAISE EXCEPTION 'by the clock of the process it is %, and by the clock of the database'
              ' %: no event is written while they differ by more than 300 seconds',
              NEW.written_at, NEW.stored_at USING ERRCODE = 'restrict_violation';
          END IF;
          RETURN NEW;
        END $$
    """,
    """
    CREATE FUNCTION audit_fence() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF NEW.fence IS DISTINCT FROM (SELECT max(fence) FROM audit_sealer) THEN
            RAISE EXCEPTION 'another sealer of the audit log has taken over'
              USING ERRCODE = 'restrict_violation';
          END IF;
          RETURN NEW;
        END $$
    """,
    """
    CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE FUNCTION data_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          UPDATE data_key_changes SET number = number + 1;
          RETURN NULL;
        END $$
    """,
)


def record(side: str) -> str:
    return 'ROW(' + ', '.join(f'{side}.{name}' for name in CONTENT) + ')'


SEALED_OR_OTHER = f'OLD.position IS NOT NULL OR {record("OLD")} IS DISTINCT FROM {record("NEW")}'
REFUSED = tuple(
    f'CREATE TRIGGER {table}_refuse_{when.lower()} BEFORE {when} ON {table} {each}'
    ' EXECUTE FUNCTION audit_refuse()'
    for table in ('audit_events', 'audit_nodes', 'audit_checkpoints')
    for when, each in (
        (
            'UPDATE',
            f'FOR EACH ROW WHEN ({SEALED_OR_OTHER})' if table == 'audit_events' else 'FOR EACH ROW',
        ),
        ('DELETE', 'FOR EACH ROW'),
        ('TRUNCATE', 'FOR EACH STATEMENT'),
    )
)
TRIGGERS = (
    'CREATE TRIGGER audit_events_accept BEFORE INSERT ON audit_events'
    ' FOR EACH ROW EXECUTE FUNCTION audit_accept()',
    'CREATE TRIGGER audit_checkpoints_fence BEFORE INSERT ON audit_checkpoints'
    ' FOR EACH ROW EXECUTE FUNCTION audit_fence()',
    *REFUSED,
    'CREATE TRIGGER data_keys_change AFTER DELETE OR TRUNCATE OR UPDATE OF wrapped, kek_id'
    ' ON data_keys FOR EACH STATEMENT EXECUTE FUNCTION data_keys_changed()',
)


class Xid8(sa.types.UserDefinedType[int]):
    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        return "xid8"


def upgrade() -> None:
    op.execute('CREATE EXTENSION IF NOT EXISTS pg_trgm')
    op.execute('CREATE EXTENSION IF NOT EXISTS fuzzystrmatch')
    op.create_table(
        'access_requests',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('role', sa.String(), nullable=True),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reason_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('state', sa.String(), nullable=False),
        sa.Column('decided_by', sa.String(), nullable=True),
        sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('answer_sealed', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_access_requests')),
    )
    op.create_index(op.f('ix_access_requests_state'), 'access_requests', ['state'], unique=False)
    op.create_index(
        op.f('ix_access_requests_subject'), 'access_requests', ['subject'], unique=False
    )
    op.create_index(op.f('ix_access_requests_team'), 'access_requests', ['team'], unique=False)
    op.create_table(
        'access_tokens',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('token_hash', sa.LargeBinary(), nullable=False),
        sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('team', sa.String(), nullable=True),
        sa.Column('parent_id', sa.Uuid(), nullable=True),
        sa.Column('maker', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=True),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ['parent_id'],
            ['access_tokens.id'],
            name=op.f('fk_access_tokens_parent_id_access_tokens'),
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_access_tokens')),
        sa.UniqueConstraint('token_hash', name=op.f('uq_access_tokens_token_hash')),
    )
    op.create_index(
        op.f('ix_access_tokens_created_by'), 'access_tokens', ['created_by'], unique=False
    )
    op.create_index(
        op.f('ix_access_tokens_parent_id'), 'access_tokens', ['parent_id'], unique=False
    )
    op.create_index(op.f('ix_access_tokens_subject'), 'access_tokens', ['subject'], unique=False)
    op.create_table(
        'audit_checkpoints',
        sa.Column('tree_size', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('root_hash', sa.LargeBinary(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('note', sa.Text(), nullable=False),
        sa.Column('fence', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('tree_size', name=op.f('pk_audit_checkpoints')),
    )
    op.create_table(
        'audit_events',
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
        sa.Column('written_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=True),
        sa.Column('stored_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('refused', sa.Text(), nullable=True),
        sa.Column('position', sa.BigInteger(), nullable=True),
        sa.Column('leaf_hash', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_events')),
    )
    op.create_index('ix_audit_events_action', 'audit_events', ['action', 'position'], unique=False)
    op.create_index('ix_audit_events_actor', 'audit_events', ['actor', 'position'], unique=False)
    op.create_index('ix_audit_events_at', 'audit_events', ['at'], unique=False)
    op.create_index(
        'ix_audit_events_correlation', 'audit_events', ['correlation_id', 'position'], unique=False
    )
    op.create_index(
        'ix_audit_events_refused',
        'audit_events',
        ['id'],
        unique=False,
        postgresql_where=sa.text('refused IS NOT NULL'),
    )
    op.create_index(
        'ix_audit_events_resource',
        'audit_events',
        ['resource', 'position'],
        unique=False,
        postgresql_ops={'resource': 'text_pattern_ops'},
    )
    op.create_index('ix_audit_events_team', 'audit_events', ['team', 'position'], unique=False)
    op.create_index(
        'ix_audit_events_waiting',
        'audit_events',
        ['xid', 'id'],
        unique=False,
        postgresql_where=sa.text('position IS NULL AND refused IS NULL'),
    )
    op.create_index('uq_audit_events_position', 'audit_events', ['position'], unique=True)
    op.create_table(
        'audit_nodes',
        sa.Column('level', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('offset', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('hash', sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint('level', 'offset', name=op.f('pk_audit_nodes')),
    )
    op.create_table(
        'audit_sealer',
        sa.Column('id', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('holder', sa.Text(), nullable=False),
        sa.Column('fence', sa.BigInteger(), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_sealer')),
    )
    op.create_table(
        'client_mutations',
        sa.Column('actor', sa.String(), nullable=False),
        sa.Column('key', sa.LargeBinary(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('answer', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('actor', 'key', name=op.f('pk_client_mutations')),
    )
    op.create_index(
        op.f('ix_client_mutations_created_at'), 'client_mutations', ['created_at'], unique=False
    )
    op.create_table(
        'data_key_changes',
        sa.Column('id', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_data_key_changes')),
    )
    op.create_table(
        'data_keys',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('purpose', sa.Text(), nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.Column('wrapped', sa.LargeBinary(), nullable=False),
        sa.Column('kek_id', sa.Text(), nullable=False),
        sa.Column('reserved', sa.BigInteger(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_data_keys')),
        sa.UniqueConstraint(
            'team', 'purpose', 'version', name=op.f('uq_data_keys_team_purpose_version')
        ),
    )
    op.create_index(op.f('ix_data_keys_kek_id'), 'data_keys', ['kek_id'], unique=False)
    op.create_table(
        'entries',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum(
                'TEMPLATE',
                'FLOW',
                'SYSTEM',
                'LESSON',
                'DECISION',
                name='entrykind',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column(
            'flow_kind',
            sa.Enum('CENTRAL', 'LOCAL', name='flowkind', native_enum=False, length=16),
            nullable=True,
        ),
        sa.Column('namespace', sa.String(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('title', sa.String(), nullable=False),
        sa.Column('summary', sa.String(), nullable=False),
        sa.Column('tags', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('systems', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('domain', sa.String(), nullable=True),
        sa.Column(
            'data_class',
            sa.Enum(
                'PUBLIC',
                'INTERNAL',
                'CONFIDENTIAL',
                'PERSONAL',
                name='dataclass',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('process_owner', sa.String(), nullable=True),
        sa.Column('deputy', sa.String(), nullable=True),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.Column(
            'lifecycle',
            sa.Enum(
                'DRAFT',
                'IN_REVIEW',
                'PUBLISHED',
                'DEPRECATED',
                'RETIRED',
                name='lifecycle',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
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
        sa.Column(
            'search',
            postgresql.TSVECTOR(),
            sa.Computed(
                "setweight(to_tsvector('english'::regconfig, search_title), 'A') || setweight(to_tsvector('english'::regconfig, search_tags), 'B') || setweight(to_tsvector('english'::regconfig, search_summary), 'B') || setweight(to_tsvector('english'::regconfig, search_body), 'C')",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_entries')),
        sa.UniqueConstraint('namespace', 'name', name=op.f('uq_entries_namespace_name')),
    )
    op.create_index(
        op.f('ix_entries_current_version_id'), 'entries', ['current_version_id'], unique=False
    )
    op.create_index(
        'ix_entries_search', 'entries', ['search'], unique=False, postgresql_using='gin'
    )
    op.create_index(
        'ix_entries_search_words',
        'entries',
        ['search_words'],
        unique=False,
        postgresql_using='gin',
        postgresql_ops={'search_words': 'gin_trgm_ops'},
    )
    op.create_index(op.f('ix_entries_team'), 'entries', ['team'], unique=False)
    op.create_table(
        'events',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('arrival', sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column('team', sa.String(), server_default='coe', nullable=False),
        sa.Column('name', sa.LargeBinary(), nullable=False),
        sa.Column('source', sa.String(), nullable=False),
        sa.Column('event_id', sa.String(), nullable=False),
        sa.Column('type', sa.String(), nullable=False),
        sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('keep_until', sa.DateTime(timezone=True), nullable=False),
        sa.Column('sent_by', sa.String(), nullable=False),
        sa.Column('requester', sa.String(), nullable=False),
        sa.Column(
            'requester_persons', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False
        ),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.Column('correlation_id', sa.String(), nullable=True),
        sa.Column('reach', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column('payload_sealed', sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_events')),
        sa.UniqueConstraint('team', 'name', name=op.f('uq_events_team_name')),
    )
    op.create_index(op.f('ix_events_keep_until'), 'events', ['keep_until'], unique=False)
    op.create_index(
        op.f('ix_events_type_received_at'), 'events', ['type', 'received_at'], unique=False
    )
    op.create_table(
        'journal_entries',
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column('position', sa.BigInteger(), nullable=False),
        sa.Column('fence', sa.BigInteger(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('payload_sealed', sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint('run_id', 'position', name=op.f('pk_journal_entries')),
    )
    op.create_table(
        'membership_proposals',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('roles', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('roles_before', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('origin', sa.String(), nullable=False),
        sa.Column('request_id', sa.Uuid(), nullable=True),
        sa.Column('proposed_by', sa.String(), nullable=False),
        sa.Column('persons', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reason_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('state', sa.String(), nullable=False),
        sa.Column('decided_by', sa.String(), nullable=True),
        sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('answer_sealed', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_membership_proposals')),
    )
    op.create_index(
        op.f('ix_membership_proposals_request_id'),
        'membership_proposals',
        ['request_id'],
        unique=False,
    )
    op.create_index(
        op.f('ix_membership_proposals_state'), 'membership_proposals', ['state'], unique=False
    )
    op.create_index(
        op.f('ix_membership_proposals_subject'), 'membership_proposals', ['subject'], unique=False
    )
    op.create_index(
        op.f('ix_membership_proposals_team'), 'membership_proposals', ['team'], unique=False
    )
    op.create_table(
        'outbox',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('subject', sa.Uuid(), nullable=False),
        sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            'created_at',
            sa.DateTime(timezone=True),
            server_default=sa.text('now()'),
            nullable=False,
        ),
        sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('last_error', sa.String(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox')),
    )
    op.create_index(op.f('ix_outbox_due_at'), 'outbox', ['due_at'], unique=False)
    op.create_index(op.f('ix_outbox_subject'), 'outbox', ['subject'], unique=False)
    op.create_table(
        'people',
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=True),
        sa.Column('external_id', sa.String(), nullable=True),
        sa.Column('provisioned_id', sa.String(), nullable=True),
        sa.Column('user_name', sa.String(), nullable=True),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('attributes_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('source', sa.String(), nullable=False),
        sa.Column('state', sa.String(), server_default='ACTIVE', nullable=False),
        sa.Column('suspended_by', sa.String(), nullable=True),
        sa.Column('state_changed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_sign_in_at', sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('subject', name=op.f('pk_people')),
        sa.UniqueConstraint('id', name=op.f('uq_people_id')),
        sa.UniqueConstraint('issuer', 'external_id', name=op.f('uq_people_issuer_external_id')),
    )
    op.create_index(op.f('ix_people_provisioned_id'), 'people', ['provisioned_id'], unique=False)
    op.create_index(
        'ix_people_subject_lower', 'people', [sa.literal_column('lower(subject)')], unique=True
    )
    op.create_index(op.f('ix_people_user_name'), 'people', ['user_name'], unique=False)
    op.create_table(
        'policy_rules',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('ptype', sa.String(), nullable=False),
        sa.Column('fields', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('note', sa.String(), nullable=True),
        sa.Column('source', sa.String(), nullable=False),
        sa.Column('origin', sa.String(), nullable=False),
        sa.CheckConstraint(
            "array_position(fields, '') IS NULL", name=op.f('ck_policy_rules_no_empty_field')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_policy_rules')),
        sa.UniqueConstraint('ptype', 'fields', name=op.f('uq_policy_rules_ptype_fields')),
    )
    op.create_table(
        'policy_state',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.Column('digest', sa.String(), nullable=False),
        sa.Column('signature', sa.String(), nullable=True),
        sa.Column('model', sa.Text(), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint('id = 1', name=op.f('ck_policy_state_one_row')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_policy_state')),
    )
    op.create_table(
        'rate_limits',
        sa.Column('key', sa.LargeBinary(), nullable=False),
        sa.Column('empty_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('noted_at', sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('key', name=op.f('pk_rate_limits')),
        prefixes=['UNLOGGED'],
    )
    op.create_index(op.f('ix_rate_limits_empty_at'), 'rate_limits', ['empty_at'], unique=False)
    op.create_table(
        'run_steps',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('place', sa.BigInteger(), nullable=False),
        sa.Column('path', sa.String(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column(
            'state',
            sa.Enum(
                'RUNNING',
                'WAITING',
                'COMPLETED',
                'FAULTED',
                'CANCELLED',
                'SKIPPED',
                'RETRYING',
                name='stepstate',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('iteration', sa.String(), nullable=True),
        sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('waited_seconds', sa.Float(), nullable=False),
        sa.Column('held_seconds', sa.Float(), server_default='0', nullable=False),
        sa.Column('waits', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column('phase', sa.String(), nullable=True),
        sa.Column('parent_key', sa.String(), nullable=True),
        sa.Column('error_type', sa.String(), nullable=True),
        sa.Column('error_status', sa.Integer(), nullable=True),
        sa.Column('error_instance', sa.String(), nullable=True),
        sa.Column('error_title', sa.String(), nullable=True),
        sa.Column('error_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('output_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('unmatched', sa.Integer(), server_default='0', nullable=False),
        sa.Column('unmatched_at', sa.String(), nullable=True),
        sa.Column('fence', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_run_steps')),
        sa.UniqueConstraint('run_id', 'key', name=op.f('uq_run_steps_run_id_key')),
    )
    op.create_table(
        'runs',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('flow', sa.String(), nullable=False),
        sa.Column('version', sa.String(), nullable=False),
        sa.Column('version_id', sa.Uuid(), nullable=False),
        sa.Column('local', sa.Boolean(), nullable=False),
        sa.Column('engine', sa.String(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('data_class', sa.String(), nullable=False),
        sa.Column(
            'state',
            sa.Enum(
                'REQUESTED',
                'RUNNING',
                'WAITING',
                'COMPLETED',
                'FAULTED',
                'CANCELLED',
                name='runstate',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('correlation_id', sa.String(), nullable=False),
        sa.Column('parent_id', sa.Uuid(), nullable=True),
        sa.Column('parent_key', sa.String(), nullable=True),
        sa.Column('started_by', sa.String(), nullable=False),
        sa.Column('started_by_kind', sa.String(), nullable=False),
        sa.Column('requester', sa.String(), nullable=False),
        sa.Column(
            'requester_persons', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False
        ),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('input_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('output_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('error_type', sa.String(), nullable=True),
        sa.Column('error_status', sa.Integer(), nullable=True),
        sa.Column('error_instance', sa.String(), nullable=True),
        sa.Column('error_title', sa.String(), nullable=True),
        sa.Column('error_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('trace_id', sa.String(), nullable=True),
        sa.Column('engine_run_id', sa.String(), nullable=True),
        sa.Column('engine_url', sa.String(), nullable=True),
        sa.Column('holder', sa.String(), nullable=True),
        sa.Column('fence', sa.BigInteger(), nullable=False),
        sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('waits_since', sa.DateTime(timezone=True), nullable=True),
        sa.Column('claim_token', sa.String(), nullable=True),
        sa.Column('claimed_by', sa.String(), nullable=True),
        sa.Column('timeout_seconds', sa.Float(), nullable=True),
        sa.Column('waits', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column('held_seconds', sa.Float(), nullable=True),
        sa.Column('journal_length', sa.BigInteger(), nullable=False),
        sa.Column('steps_told', sa.BigInteger(), server_default='0', nullable=False),
        sa.ForeignKeyConstraint(['parent_id'], ['runs.id'], name=op.f('fk_runs_parent_id_runs')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_runs')),
        sa.UniqueConstraint('parent_id', 'parent_key', name=op.f('uq_runs_parent_id_parent_key')),
    )
    op.create_index(op.f('ix_runs_correlation_id'), 'runs', ['correlation_id'], unique=False)
    op.create_index(
        op.f('ix_runs_flow_requested_at'), 'runs', ['flow', 'requested_at'], unique=False
    )
    op.create_index(
        'ix_runs_lease',
        'runs',
        ['lease_until'],
        unique=False,
        postgresql_where=sa.text('lease_until IS NOT NULL'),
    )
    op.create_index(op.f('ix_runs_requested_at'), 'runs', ['requested_at'], unique=False)
    op.create_index(op.f('ix_runs_requester'), 'runs', ['requester'], unique=False)
    op.create_index(op.f('ix_runs_state'), 'runs', ['state'], unique=False)
    op.create_index(
        op.f('ix_runs_team_requested_at'), 'runs', ['team', 'requested_at'], unique=False
    )
    op.create_index(op.f('ix_runs_version_id'), 'runs', ['version_id'], unique=False)
    op.create_table(
        'scim_groups',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('external_id', sa.String(), nullable=True),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_scim_groups')),
    )
    op.create_index(
        op.f('ix_scim_groups_display_name'), 'scim_groups', ['display_name'], unique=False
    )
    op.create_table(
        'sessions',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=False),
        sa.Column('external_id', sa.String(), nullable=False),
        sa.Column('issuer_session', sa.String(), nullable=True),
        sa.Column('acr', sa.String(), nullable=True),
        sa.Column('amr', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        sa.Column('authenticated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('address', sa.String(), nullable=True),
        sa.Column('client', sa.String(), nullable=True),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('revoked_why', sa.String(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_sessions')),
    )
    op.create_index(op.f('ix_sessions_expires_at'), 'sessions', ['expires_at'], unique=False)
    op.create_index(op.f('ix_sessions_external_id'), 'sessions', ['external_id'], unique=False)
    op.create_index(
        op.f('ix_sessions_issuer_session'), 'sessions', ['issuer_session'], unique=False
    )
    op.create_index(op.f('ix_sessions_subject'), 'sessions', ['subject'], unique=False)
    op.create_table(
        'spent_assertions',
        sa.Column('digest', sa.LargeBinary(), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_spent_assertions')),
    )
    op.create_index(
        op.f('ix_spent_assertions_expires_at'), 'spent_assertions', ['expires_at'], unique=False
    )
    op.create_table(
        'team_workers',
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('team', name=op.f('pk_team_workers')),
    )
    op.create_table(
        'teams',
        sa.Column('slug', sa.String(), nullable=False),
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('domain', sa.String(), nullable=True),
        sa.Column('contact', sa.String(), nullable=True),
        sa.Column('members_digest', sa.String(), nullable=True),
        sa.Column('members_source', sa.String(), server_default='content', nullable=False),
        sa.Column('state', sa.String(), server_default='ACTIVE', nullable=False),
        sa.PrimaryKeyConstraint('slug', name=op.f('pk_teams')),
        sa.UniqueConstraint('id', name=op.f('uq_teams_id')),
    )
    op.create_table(
        'decision_cases',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('path', sa.String(), nullable=False),
        sa.Column('decision', sa.String(), nullable=False),
        sa.Column('version', sa.String(), nullable=False),
        sa.Column('flow', sa.String(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('data_class', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('rules', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('failed', sa.Boolean(), nullable=False),
        sa.Column('case_sealed', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['run_id'], ['runs.id'], name=op.f('fk_decision_cases_run_id_runs'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_decision_cases')),
        sa.UniqueConstraint('run_id', 'key', name=op.f('uq_decision_cases_run_id_key')),
    )
    op.create_index(
        op.f('ix_decision_cases_decision_at_id'),
        'decision_cases',
        ['decision', 'at', 'id'],
        unique=False,
    )
    op.create_table(
        'enrolment_codes',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('code_mac', sa.LargeBinary(), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('worker', sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_enrolment_codes_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_enrolment_codes')),
        sa.UniqueConstraint('code_mac', name=op.f('uq_enrolment_codes_code_mac')),
    )
    op.create_index(op.f('ix_enrolment_codes_team'), 'enrolment_codes', ['team'], unique=False)
    op.create_table(
        'entry_versions',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('entry_id', sa.Uuid(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum(
                'TEMPLATE',
                'FLOW',
                'SYSTEM',
                'LESSON',
                'DECISION',
                name='entrykind',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column(
            'flow_kind',
            sa.Enum('CENTRAL', 'LOCAL', name='flowkind', native_enum=False, length=16),
            nullable=True,
        ),
        sa.Column('namespace', sa.String(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column(
            'data_class',
            sa.Enum(
                'PUBLIC',
                'INTERNAL',
                'CONFIDENTIAL',
                'PERSONAL',
                name='dataclass',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('version', sa.String(), nullable=False),
        sa.Column('precedence', sa.String(collation='C'), nullable=False),
        sa.Column(
            'lifecycle',
            sa.Enum(
                'DRAFT',
                'IN_REVIEW',
                'PUBLISHED',
                'DEPRECATED',
                'RETIRED',
                name='lifecycle',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('digest', sa.String(), nullable=False),
        sa.Column('body_digest', sa.String(), nullable=False),
        sa.Column('signature', sa.String(), nullable=False),
        sa.Column('publication', sa.String(), nullable=True),
        sa.Column('engine', sa.String(), nullable=True),
        sa.Column('changelog', sa.String(), nullable=True),
        sa.Column('changelog_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('tests_digest', sa.String(), nullable=True),
        sa.Column('tests_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('evidence_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('submission_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('edited_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('editors', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        sa.Column('card', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.Column('content_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('schemas_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('problems_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column(
            'author_persons', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False
        ),
        sa.Column('submitted_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('submitted_by', sa.String(), nullable=True),
        sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('published_by', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ['entry_id'], ['entries.id'], name=op.f('fk_entry_versions_entry_id_entries')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_entry_versions')),
        sa.UniqueConstraint('entry_id', 'version', name=op.f('uq_entry_versions_entry_id_version')),
    )
    op.create_index(op.f('ix_entry_versions_digest'), 'entry_versions', ['digest'], unique=False)
    op.create_index(
        op.f('ix_entry_versions_entry_id'), 'entry_versions', ['entry_id'], unique=False
    )
    op.create_index(
        'ix_entry_versions_lifecycle', 'entry_versions', ['lifecycle', 'submitted_at'], unique=False
    )
    op.create_table(
        'event_deliveries',
        sa.Column('event_id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column(
            'name',
            sa.LargeBinary(),
            server_default=sa.text('uuid_send(gen_random_uuid())'),
            nullable=False,
        ),
        sa.Column('started', sa.Boolean(), nullable=False),
        sa.Column(
            'state',
            sa.Enum(
                'OFFERED', 'TAKEN', 'UNMATCHED', name='deliverystate', native_enum=False, length=16
            ),
            server_default='TAKEN',
            nullable=False,
        ),
        sa.Column('unmatched_at', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ['event_id'],
            ['events.id'],
            name=op.f('fk_event_deliveries_event_id_events'),
            ondelete='CASCADE',
        ),
        sa.ForeignKeyConstraint(
            ['run_id'],
            ['runs.id'],
            name=op.f('fk_event_deliveries_run_id_runs'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('event_id', 'run_id', name=op.f('pk_event_deliveries')),
        sa.UniqueConstraint('run_id', 'name', name=op.f('uq_event_deliveries_run_id_name')),
    )
    op.create_table(
        'event_subscriptions',
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column('type', sa.String(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('data_class', sa.String(), nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.Column('active', sa.Boolean(), nullable=False),
        sa.Column('caught_up', sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ['run_id'],
            ['runs.id'],
            name=op.f('fk_event_subscriptions_run_id_runs'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('run_id', 'type', name=op.f('pk_event_subscriptions')),
    )
    op.create_index(
        op.f('ix_event_subscriptions_type'),
        'event_subscriptions',
        ['type'],
        unique=False,
        postgresql_where=sa.text('active'),
    )
    op.create_table(
        'human_tasks',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column('root_run_id', sa.Uuid(), nullable=True),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('path', sa.String(), nullable=False),
        sa.Column('question', sa.String(), nullable=True),
        sa.Column('flow', sa.String(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('data_class', sa.String(), nullable=False),
        sa.Column(
            'state',
            sa.Enum(
                'OPEN',
                'CLAIMED',
                'COMPLETED',
                'ESCALATED',
                'CANCELLED',
                'EXPIRED',
                name='humantaskstate',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('requester', sa.String(), nullable=False),
        sa.Column(
            'requester_persons', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False
        ),
        sa.Column('code', sa.LargeBinary(), nullable=True),
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
        sa.Column(
            'reminders',
            postgresql.JSONB(astext_type=sa.Text()),
            server_default='[]',
            nullable=False,
        ),
        sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('completed_by', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_human_tasks_run_id_runs')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_human_tasks')),
        sa.UniqueConstraint('run_id', 'key', name=op.f('uq_human_tasks_run_id_key')),
    )
    op.create_index(op.f('ix_human_tasks_assignee'), 'human_tasks', ['assignee'], unique=False)
    op.create_index(
        op.f('ix_human_tasks_candidate_roles'),
        'human_tasks',
        ['candidate_roles'],
        unique=False,
        postgresql_using='gin',
    )
    op.create_index(
        op.f('ix_human_tasks_root_run_id'), 'human_tasks', ['root_run_id'], unique=False
    )
    op.create_index(
        op.f('ix_human_tasks_state_created_at'),
        'human_tasks',
        ['state', 'created_at'],
        unique=False,
    )
    op.create_table(
        'machine_clients',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('secret_mac', sa.LargeBinary(), nullable=True),
        sa.Column('public_key', sa.LargeBinary(), nullable=True),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_machine_clients_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_machine_clients')),
    )
    op.create_index(op.f('ix_machine_clients_team'), 'machine_clients', ['team'], unique=False)
    op.create_table(
        'memberships',
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('roles', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('origin', sa.String(), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            'granted', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False
        ),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_memberships_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('team', 'subject', name=op.f('pk_memberships')),
    )
    op.create_index(op.f('ix_memberships_subject'), 'memberships', ['subject'], unique=False)
    op.create_table(
        'run_inbox',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('arrival', sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column('dedupe', sa.String(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('payload_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('event_id', sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ['event_id'], ['events.id'], name=op.f('fk_run_inbox_event_id_events')
        ),
        sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_run_inbox_run_id_runs')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_run_inbox')),
        sa.UniqueConstraint('run_id', 'dedupe', name=op.f('uq_run_inbox_run_id_dedupe')),
    )
    op.create_index(op.f('ix_run_inbox_event_id'), 'run_inbox', ['event_id'], unique=False)
    op.create_table(
        'run_interventions',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum('CANCEL', 'RETRY', name='interventionkind', native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column('by', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reason_sealed', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['run_id'], ['runs.id'], name=op.f('fk_run_interventions_run_id_runs')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_run_interventions')),
    )
    op.create_index(
        op.f('ix_run_interventions_run_id'), 'run_interventions', ['run_id'], unique=False
    )
    op.create_table(
        'schedules',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('entry_id', sa.Uuid(), nullable=False),
        sa.Column('flow', sa.String(), nullable=False),
        sa.Column('version', sa.String(), nullable=False),
        sa.Column('version_id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('data_class', sa.String(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum(
                'AFTER', 'CRON', 'EVERY', 'ON', name='schedulekind', native_enum=False, length=16
            ),
            nullable=False,
        ),
        sa.Column('expression', sa.String(), nullable=False),
        sa.Column('time_zone', sa.String(), nullable=False),
        sa.Column('seconds', sa.Float(), nullable=True),
        sa.Column('types', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('fingerprint', sa.String(), nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('enabled', sa.Boolean(), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_run_id', sa.Uuid(), nullable=True),
        sa.Column('problem', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ['last_run_id'],
            ['runs.id'],
            name=op.f('fk_schedules_last_run_id_runs'),
            ondelete='SET NULL',
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_schedules')),
        sa.UniqueConstraint('entry_id', name=op.f('uq_schedules_entry_id')),
    )
    op.create_index(
        'ix_schedules_due',
        'schedules',
        ['next_at'],
        unique=False,
        postgresql_where=sa.text('enabled'),
    )
    op.create_table(
        'scim_group_members',
        sa.Column('group_id', sa.Uuid(), nullable=False),
        sa.Column('person_id', sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ['group_id'],
            ['scim_groups.id'],
            name=op.f('fk_scim_group_members_group_id_scim_groups'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('group_id', 'person_id', name=op.f('pk_scim_group_members')),
    )
    op.create_index(
        op.f('ix_scim_group_members_person_id'), 'scim_group_members', ['person_id'], unique=False
    )
    op.create_table(
        'timers',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum(
                'LOCAL_RUN',
                'MACHINE',
                'REMINDER',
                'TASK',
                name='timerkind',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_timers_run_id_runs')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_timers')),
        sa.UniqueConstraint('run_id', 'kind', 'key', name=op.f('uq_timers_run_id_kind_key')),
    )
    op.create_index(op.f('ix_timers_due_at'), 'timers', ['due_at'], unique=False)
    op.create_table(
        'trust_rules',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=False),
        sa.Column('audience', sa.String(), nullable=False),
        sa.Column('subject_pattern', sa.String(), nullable=False),
        sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_trust_rules_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trust_rules')),
    )
    op.create_index(op.f('ix_trust_rules_issuer'), 'trust_rules', ['issuer'], unique=False)
    op.create_index(op.f('ix_trust_rules_team'), 'trust_rules', ['team'], unique=False)
    op.create_table(
        'worker_keys',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('public_key', sa.LargeBinary(), nullable=False),
        sa.Column('enrolled_by', sa.String(), nullable=False),
        sa.Column('enrolled_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('address', sa.String(), nullable=True),
        sa.Column('renewed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_worker_keys_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_worker_keys')),
        sa.UniqueConstraint('public_key', name=op.f('uq_worker_keys_public_key')),
    )
    op.create_index(op.f('ix_worker_keys_team'), 'worker_keys', ['team'], unique=False)
    op.create_table(
        'entry_aliases',
        sa.Column('entry_id', sa.Uuid(), nullable=False),
        sa.Column('alias', sa.String(), nullable=False),
        sa.Column('version_id', sa.Uuid(), nullable=False),
        sa.Column('version', sa.String(), nullable=False),
        sa.Column('set_by', sa.String(), nullable=False),
        sa.Column('set_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ['entry_id'], ['entries.id'], name=op.f('fk_entry_aliases_entry_id_entries')
        ),
        sa.ForeignKeyConstraint(
            ['version_id'],
            ['entry_versions.id'],
            name=op.f('fk_entry_aliases_version_id_entry_versions'),
        ),
        sa.PrimaryKeyConstraint('entry_id', 'alias', name=op.f('pk_entry_aliases')),
    )
    op.create_index(
        op.f('ix_entry_aliases_version_id'), 'entry_aliases', ['version_id'], unique=False
    )
    op.create_table(
        'entry_links',
        sa.Column('version_id', sa.Uuid(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum('CALLS', 'SYSTEM', name='linkkind', native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column('target_namespace', sa.String(), nullable=False),
        sa.Column('target_name', sa.String(), nullable=False),
        sa.Column('selector', sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ['version_id'],
            ['entry_versions.id'],
            name=op.f('fk_entry_links_version_id_entry_versions'),
        ),
        sa.PrimaryKeyConstraint(
            'version_id',
            'kind',
            'target_namespace',
            'target_name',
            'selector',
            name=op.f('pk_entry_links'),
        ),
    )
    op.create_index(
        'ix_entry_links_target', 'entry_links', ['target_namespace', 'target_name'], unique=False
    )
    op.create_table(
        'human_task_approvals',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('task_id', sa.Uuid(), nullable=False),
        sa.Column('by', sa.String(), nullable=False),
        sa.Column('persons', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('decision', sa.String(), nullable=False),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.Column('voided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('voided_by', sa.String(), nullable=True),
        sa.Column('comment_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('answer_sealed', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['task_id'],
            ['human_tasks.id'],
            name=op.f('fk_human_task_approvals_task_id_human_tasks'),
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_approvals')),
    )
    op.create_index(
        'ix_human_task_approvals_counting',
        'human_task_approvals',
        ['task_id', 'by'],
        unique=True,
        postgresql_where=sa.text('voided_at IS NULL'),
    )
    op.create_table(
        'human_task_escalations',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('task_id', sa.Uuid(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('to', sa.String(), nullable=False),
        sa.Column('reason', sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ['task_id'],
            ['human_tasks.id'],
            name=op.f('fk_human_task_escalations_task_id_human_tasks'),
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_escalations')),
    )
    op.create_index(
        op.f('ix_human_task_escalations_task_id'),
        'human_task_escalations',
        ['task_id'],
        unique=False,
    )
    op.create_table(
        'human_task_holders',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('task_id', sa.Uuid(), nullable=False),
        sa.Column('by', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ['task_id'], ['human_tasks.id'], name=op.f('fk_human_task_holders_task_id_human_tasks')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_holders')),
    )
    op.create_index(
        op.f('ix_human_task_holders_task_id_at'),
        'human_task_holders',
        ['task_id', 'at'],
        unique=False,
    )
    op.create_table(
        'human_task_reminders',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('task_id', sa.Uuid(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('channel', sa.String(), nullable=True),
        sa.Column('notified_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ['task_id'],
            ['human_tasks.id'],
            name=op.f('fk_human_task_reminders_task_id_human_tasks'),
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_reminders')),
    )
    op.create_index(
        'ix_human_task_reminders_next_at',
        'human_task_reminders',
        ['next_at'],
        unique=False,
        postgresql_where=sa.text('next_at IS NOT NULL'),
    )
    op.create_index(
        op.f('ix_human_task_reminders_task_id'), 'human_task_reminders', ['task_id'], unique=False
    )
    op.create_table(
        'schedule_events',
        sa.Column('schedule_id', sa.Uuid(), nullable=False),
        sa.Column('event_id', sa.Uuid(), nullable=False),
        sa.Column(
            'name',
            sa.LargeBinary(),
            server_default=sa.text('uuid_send(gen_random_uuid())'),
            nullable=False,
        ),
        sa.Column(
            'state',
            sa.Enum(
                'PENDING',
                'TAKEN',
                'DROPPED',
                'UNMATCHED',
                name='scheduleeventstate',
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column('unmatched_at', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ['event_id'],
            ['events.id'],
            name=op.f('fk_schedule_events_event_id_events'),
            ondelete='CASCADE',
        ),
        sa.ForeignKeyConstraint(
            ['schedule_id'],
            ['schedules.id'],
            name=op.f('fk_schedule_events_schedule_id_schedules'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('schedule_id', 'event_id', name=op.f('pk_schedule_events')),
        sa.UniqueConstraint(
            'schedule_id', 'name', name=op.f('uq_schedule_events_schedule_id_name')
        ),
    )
    op.create_index(
        op.f('ix_schedule_events_event_id'), 'schedule_events', ['event_id'], unique=False
    )
    op.create_index(
        'ix_schedule_events_pending',
        'schedule_events',
        ['schedule_id'],
        unique=False,
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_table(
        'template_origins',
        sa.Column('flow_version_id', sa.Uuid(), nullable=False),
        sa.Column('flow_entry_id', sa.Uuid(), nullable=False),
        sa.Column('flow_team', sa.String(), nullable=False),
        sa.Column('template_version_id', sa.Uuid(), nullable=False),
        sa.Column('template_entry_id', sa.Uuid(), nullable=False),
        sa.Column('parameters_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('digest', sa.String(), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ['flow_entry_id'],
            ['entries.id'],
            name=op.f('fk_template_origins_flow_entry_id_entries'),
        ),
        sa.ForeignKeyConstraint(
            ['flow_version_id'],
            ['entry_versions.id'],
            name=op.f('fk_template_origins_flow_version_id_entry_versions'),
            ondelete='CASCADE',
        ),
        sa.ForeignKeyConstraint(
            ['template_entry_id'],
            ['entries.id'],
            name=op.f('fk_template_origins_template_entry_id_entries'),
        ),
        sa.ForeignKeyConstraint(
            ['template_version_id'],
            ['entry_versions.id'],
            name=op.f('fk_template_origins_template_version_id_entry_versions'),
        ),
        sa.PrimaryKeyConstraint('flow_version_id', name=op.f('pk_template_origins')),
    )
    op.create_index(
        op.f('ix_template_origins_flow_entry_id'),
        'template_origins',
        ['flow_entry_id'],
        unique=False,
    )
    op.create_index(
        op.f('ix_template_origins_template_entry_id'),
        'template_origins',
        ['template_entry_id'],
        unique=False,
    )
    op.create_index(
        op.f('ix_template_origins_template_version_id'),
        'template_origins',
        ['template_version_id'],
        unique=False,
    )
    op.create_table(
        'version_approvals',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('version_id', sa.Uuid(), nullable=False),
        sa.Column('by', sa.String(), nullable=False),
        sa.Column('persons', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            'decision',
            sa.Enum('APPROVED', 'REFUSED', name='reviewverdict', native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column('comment', sa.String(), nullable=True),
        sa.Column('comment_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('digest', sa.String(), nullable=True),
        sa.Column('signature', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ['version_id'],
            ['entry_versions.id'],
            name=op.f('fk_version_approvals_version_id_entry_versions'),
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_version_approvals')),
    )
    op.create_index(
        op.f('ix_version_approvals_version_id'), 'version_approvals', ['version_id'], unique=False
    )
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)
    op.execute("INSERT INTO audit_sealer (id, holder, fence, until) VALUES (1, '', 0, '-infinity')")
    op.execute('INSERT INTO data_key_changes (id, number) VALUES (1, 0)')
