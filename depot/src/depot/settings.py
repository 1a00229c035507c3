"""What an operator can set. Read once, at start; a wrong value stops it with all faults named."""

from pathlib import Path
from typing import Annotated

from holdfast import Secret, Settings, option


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
    first_token: Annotated[
        Secret | None,
        option("The token of the first account, made at the first start; without it one is made up and printed."),
    ] = None
    webhook_url: Annotated[
        Secret | None,  # the address of a webhook is often all that it takes to call it
        option("Where to POST when a file is ready or has failed.", pattern=r"https?://\S+"),
    ] = None
    max_file_mb: Annotated[int, option("The largest file that is taken, in MiB.", ge=1)] = 10_240

    @property
    def files_folder(self) -> Path:
        """The folder of the files' contents."""
        return self.data / "files"

    @property
    def database_path(self) -> str:
        """The path of the SQLite file."""
        if self.database_url is None:
            return str(self.data / "depot.sqlite")
        return self.database_url.partition(":///")[2]
