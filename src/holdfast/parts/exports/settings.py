"""The settings of exports."""

import dataclasses
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

from holdfast.settings import Settings, option


def _on_disk() -> Path:
    lasting = Path("/var/tmp")  # noqa: S108 - files there have no names; /tmp is often memory
    return lasting if lasting.is_dir() else Path(gettempdir())


class ExportSettings(Settings, prefix="HOLDFAST_EXPORTS", title="exports"):
    """What exports may take."""

    spool: Annotated[
        Path, option("The folder for what a client has not read yet when all rows are there.", default="/var/tmp")  # noqa: S108 - as above
    ] = dataclasses.field(default_factory=_on_disk)
    spool_bytes: Annotated[
        int, option("How many bytes of one export may wait there; beyond that, the rows wait too. 0: none.", ge=0)
    ] = 1024**3
    spool_all_bytes: Annotated[int, option("How many bytes of all exports of a process may wait there.", ge=0)] = (
        8 * 1024**3
    )
    hold_s: Annotated[
        float,
        option("Seconds for which rows that found no room wait for their reader; then the export is cut off.", gt=0),
    ] = 30.0
    idle_s: Annotated[
        float, option("Seconds for which a client may take to read 128 KiB before its export is cut off.", gt=0)
    ] = 300.0
