"""Lists and background work by index; a gateway's username is one gateway's."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RUNNING = sa.text("state <> 'ended'")
LEASED = sa.text("lease_until IS NOT NULL")

NEW = (
    ("ix_sessions_room_started_at_id", "sessions", ["room", "started_at", "id"]),
    ("ix_participants_session_identity", "participants", ["session", "identity"]),
    ("ix_calls_organisation_state_received_at_id", "calls", ["organisation", "state", "received_at", "id"]),
    ("ix_calls_organisation_from_number_received_at_id", "calls", ["organisation", "from_number", "received_at", "id"]),
    ("ix_calls_organisation_to_number_received_at_id", "calls", ["organisation", "to_number", "received_at", "id"]),
    ("ix_calls_room_received_at_id", "calls", ["room", "received_at", "id"]),
    ("ix_calls_session_received_at_id", "calls", ["session", "received_at", "id"]),
    ("ix_calls_received_at", "calls", ["received_at"]),
    ("ix_events_organisation_type_occurred_at_id", "events", ["organisation", "type", "occurred_at", "id"]),
    ("ix_deliveries_endpoint_state_due_sequence", "deliveries", ["endpoint", "state", "due", "sequence"]),
    (
        "ix_deliveries_organisation_endpoint_created_at_id",
        "deliveries",
        ["organisation", "endpoint", "created_at", "id"],
    ),
    ("ix_deliveries_organisation_created_at_id", "deliveries", ["organisation", "created_at", "id"]),
    ("ix_deliveries_organisation_state_created_at_id", "deliveries", ["organisation", "state", "created_at", "id"]),
)

OLD = (
    ("ix_sessions_room_started_at", "sessions", ["room", "started_at"]),
    ("ix_participants_organisation_joined_at_id", "participants", ["organisation", "joined_at", "id"]),
    ("ix_calls_state", "calls", ["state"]),
    ("ix_calls_room", "calls", ["room"]),
    ("ix_calls_session", "calls", ["session"]),
)


def upgrade() -> None:
    for name, table, columns in NEW:
        op.create_index(name, table, columns)
    op.create_index("ix_calls_running", "calls", ["received_at", "id"], sqlite_where=RUNNING, postgresql_where=RUNNING)
    op.create_index("ix_deliveries_leased", "deliveries", ["lease_until"], sqlite_where=LEASED, postgresql_where=LEASED)
    for name, table, _ in OLD:
        op.drop_index(name, table)
    _one_gateway_for_each_username()
    op.create_index("ix_gateways_username", "gateways", ["username"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_gateways_username", "gateways")
    op.drop_index("ix_deliveries_leased", "deliveries")
    op.drop_index("ix_calls_running", "calls")
    for name, table, columns in OLD:
        op.create_index(name, table, columns)
    for name, table, _ in NEW:
        op.drop_index(name, table)


def _one_gateway_for_each_username() -> None:
    """Two gateways that were made at the same moment could share a username; only the first was ever looked up. The
    others keep asking for a password, under a name nobody has."""
    gateways = sa.table("gateways", sa.column("id"), sa.column("username"), sa.column("created_at"))
    earlier = gateways.alias("earlier")
    shared = sa.exists().where(
        earlier.c.username == gateways.c.username,
        sa.or_(
            earlier.c.created_at < gateways.c.created_at,
            sa.and_(earlier.c.created_at == gateways.c.created_at, earlier.c.id < gateways.c.id),
        ),
    )
    op.get_bind().execute(sa.update(gateways).where(shared).values(username=gateways.c.username + "~" + gateways.c.id))
