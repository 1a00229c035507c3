"""The settings of uploads."""

from typing import Annotated

from holdfast.settings import Settings, option


class UploadSettings(Settings, prefix="HOLDFAST_UPLOADS", title="uploads"):
    """What uploads may take."""

    max_bytes: Annotated[int, option("The most bytes that one file may have.", ge=1)] = 10 * 1024**4
    reserve_bytes: Annotated[
        int, option("How many bytes of the disk stay free: what would take them is refused with 507.", ge=0)
    ] = 1024**3
    unfinished_max: Annotated[int, option("How many unfinished uploads one owner may have.", ge=1)] = 100
    at_once: Annotated[
        int, option("How many upload requests of one owner are served at the same time, in each process.", ge=1)
    ] = 16
    expires_s: Annotated[float, option("Seconds after which an upload that nobody goes on with is removed.", gt=0)] = (
        86_400.0
    )


class PaceSettings(Settings, prefix="HOLDFAST_UPLOADS_PACE", title="uploads-pace"):
    """How slowly uploads may arrive, and how often what arrives is made safe."""

    idle_s: Annotated[float, option("Seconds for which an upload may send nothing before it is ended.", gt=0)] = 30.0
    min_rate: Annotated[
        int, option("Bytes a second that an upload must bring over half a minute; 0: no bound.", ge=0)
    ] = 100
    checkpoint_s: Annotated[
        float,
        option("Seconds after which what came is made safe at the latest, while more is coming.", gt=0, le=60),
    ] = 5.0
    sweep_s: Annotated[float, option("Seconds between two looks for what expired or was left behind.", gt=0)] = 60.0
