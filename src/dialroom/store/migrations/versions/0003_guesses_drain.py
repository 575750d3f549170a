"""Wrong tries drain one by one instead of all at the end of an hour. Those counted in the old way are forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("guesses")
    op.create_table(
        "guesses",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("drained_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_guesses"),
    )
    op.create_index("ix_guesses_drained_at", "guesses", ["drained_at"])


def downgrade() -> None:
    op.drop_table("guesses")
    op.create_table(
        "guesses",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("window_started", sa.BigInteger(), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_guesses"),
    )
    op.create_index("ix_guesses_window_started", "guesses", ["window_started"])
