"""Reports while they are made, and those that are kept as files."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "exports",
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("account_no", sa.Integer, sa.ForeignKey("accounts.no"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("form", sa.String, nullable=False),
        sa.Column("kept", sa.Boolean, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("started", sa.String, nullable=False),
        sa.Column("ended", sa.String),
        sa.Column("request_id", sa.String),
        sa.Column("media_type", sa.String),
        sa.Column("sha256", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_exports_account_no", "exports", ["account_no", "no"])
    op.create_index("ix_exports_state", "exports", ["state", "ended"])


def downgrade() -> None:
    """Remove them. The bytes of those that are kept stay where they are, and nobody knows them any more."""
    op.drop_table("exports")
