"""What an operator can set. Read once, at start; a wrong value stops it with all faults named."""

import os
from dataclasses import field
from pathlib import Path
from typing import Annotated

from depot.passwords import SHORTEST
from holdfast import Secret, Settings, option


def _here() -> str:
    return f"http://127.0.0.1:{os.environ.get('HOLDFAST_PORT') or os.environ.get('PORT') or 8000}"


class DepotSettings(Settings, prefix="DEPOT", title="depot"):
    """Where the depot keeps things, and whom it tells."""

    data: Annotated[Path, option("The folder of everything that the depot keeps.")] = Path("data")
    database_url: Annotated[
        str | None,
        option(
            "The database, as SQLAlchemy writes it: sqlite:///PATH.",
            pattern=r"sqlite:///[^:?][^?]*",
            default="depot.sqlite in the data folder",
        ),
    ] = None
    url: Annotated[
        str,
        option(
            "Where people reach the depot, as it is shown at the first start.",
            pattern=r"https?://\S+[^/\s]",
            default="http://127.0.0.1 and the port",
        ),
    ] = field(default_factory=_here)
    webhook_url: Annotated[
        Secret | None,  # the address of a webhook is often all that it takes to call it
        option("Where to POST when a file is ready or has failed.", pattern=r"https?://\S+"),
    ] = None
    max_file_mb: Annotated[int, option("The largest file that is taken, in MiB.", ge=1)] = 10_240

    @property
    def database_path(self) -> str:
        """The path of the SQLite file."""
        if self.database_url is None:
            return str(self.data / "depot.sqlite")
        return self.database_url.partition(":///")[2]

    def beside_database(self, name: str) -> Path:
        """The path of what belongs to the database: whoever shares the one shares the other."""
        database = Path(self.database_path)
        return database.with_name(f"{database.stem}-{name}")


class StoreSettings(Settings, prefix="DEPOT", title="store"):
    """Where the bytes of files lie, and how many."""

    blobs: Annotated[
        str | None,
        option(
            "Where the bytes of files lie: a folder, or s3://bucket/prefix.",
            pattern=r"s3://.+|(?!\w+://).+",
            pattern_words="a path, or s3://bucket/prefix",
            default="files in the data folder",
        ),
    ] = None
    quota_mb: Annotated[
        int | None, option("What an account may have in files and unfinished uploads, in MiB.", ge=1)
    ] = None


class ReportSettings(Settings, prefix="DEPOT_REPORTS", title="reports"):
    """How long reports are kept."""

    kept_hours: Annotated[
        float, option("Hours after which a report that was made a file is removed.", gt=0, le=10_000)
    ] = 24


class FirstAccount(Settings, prefix="DEPOT_FIRST", title="first"):
    """The account that is made at the first start. What is not given is made up and shown once."""

    token: Annotated[Secret | None, option("Its token, for the API.")] = None
    password: Annotated[Secret | None, option("Its password, for the pages.", min_length=SHORTEST)] = None


class SessionSettings(Settings, prefix="DEPOT_SESSION", title="session"):
    """How long a browser stays signed in."""

    days: Annotated[float, option("Days after which everybody signs in again.", gt=0, le=400)] = 30
    idle_hours: Annotated[float, option("Hours without a request after which a session ends.", gt=0, le=10_000)] = 12
