"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "accounts",
        sa.Column("no", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("token_sha256", sa.String, nullable=False, unique=True),
        sa.Column("created", sa.String, nullable=False),
    )
    op.create_table(
        "files",
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("account_no", sa.Integer, sa.ForeignKey("accounts.no"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("request_id", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("problems", sa.JSON, nullable=False),
        sa.Column("problems_total", sa.Integer, nullable=False),
        sqlite_autoincrement=True,  # the number of a deleted file is never given to another
    )
    op.create_index("ix_files_account_no", "files", ["account_no", "no"])
    op.create_index("ix_files_account_no_state", "files", ["account_no", "state", "no"])
    op.create_index("ix_files_state", "files", ["state", "no"])
    op.create_table(
        "removals",
        sa.Column("file_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("file_id", sa.String, nullable=False),
    )
    op.create_table(
        "activity",
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("account_no", sa.Integer, sa.ForeignKey("accounts.no"), nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("file_id", sa.String),
        sa.Column("name", sa.String),
        sa.Column("request_id", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activity_account_no", "activity", ["account_no", "no"])
    op.create_table(
        "records",
        sa.Column("file_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove them, and everything in them."""
    for table in ("records", "activity", "removals", "files", "accounts"):
        op.drop_table(table)
