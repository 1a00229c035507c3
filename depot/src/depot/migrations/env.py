"""Alembic runs this to run the steps, on the connection that `migrate` made."""

from alembic import context

from depot.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
