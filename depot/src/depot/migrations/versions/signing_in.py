"""Signing in by the pages: passwords, sessions, and the attempts that failed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them. Accounts that are there have no password until they are given one."""
    op.add_column("accounts", sa.Column("password", sa.String))
    op.create_table(
        "sessions",
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("token_sha256", sa.String, nullable=False, unique=True),
        sa.Column("account_no", sa.Integer, sa.ForeignKey("accounts.no"), nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("last_seen", sa.String, nullable=False),
        sa.Column("expires", sa.String, nullable=False),
        sa.Column("client", sa.String, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_account_no", "sessions", ["account_no", "no"])
    op.create_table(
        "attempts",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last", sa.Float, nullable=False),
    )
    op.create_index("ix_attempts_last", "attempts", ["last"])


def downgrade() -> None:
    """Remove them, and with them every password."""
    op.drop_table("attempts")
    op.drop_table("sessions")
    op.drop_column("accounts", "password")
