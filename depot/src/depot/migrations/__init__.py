"""The steps from one shape of the database to the next, run at start."""

import fcntl
import logging
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL


def migrate(database: str, lock: Path, to: str = "head") -> None:
    """Bring the SQLite file at the path `database` to the newest shape, or as far as the step `to`.

    Workers that start at once do it one after the other, by a lock on the file `lock`; the second finds it done. It
    blocks: call it in a thread.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it announces each of its plugins and steps
    from alembic import command  # noqa: PLC0415 - heavy, and needed once
    from alembic.config import Config  # noqa: PLC0415

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system lets go of it when the process dies, however it dies
        engine = create_engine(URL.create("sqlite", database=database))
        event.listen(engine, "connect", _leave_transactions_alone)
        event.listen(engine, "begin", _begin)
        try:
            with engine.begin() as connection:
                config = Config()
                config.set_main_option("script_location", "depot:migrations")
                config.attributes["connection"] = connection
                command.upgrade(config, to)
        finally:
            engine.dispose()


def _leave_transactions_alone(connection: sqlite3.Connection, _: object) -> None:
    # sqlite3's own way does not put CREATE TABLE in the transaction: killed in the middle, half of it would stay
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
