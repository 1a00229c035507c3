"""The settings of `holdfast run`."""

from typing import Annotated

from holdfast.settings import Settings, option


class ServerSettings(Settings, prefix="HOLDFAST", title="server"):
    """Where `holdfast run` listens, and with how many processes."""

    host: Annotated[str, option("The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, option("The port to listen on; 0 takes a free one.", ge=0, le=65535, also="PORT")] = 8000
    workers: Annotated[int, option("How many processes serve.", ge=1, le=512)] = 1
    observe: Annotated[bool, option("Decide and report everything, but refuse nothing.")] = False
    health_address: Annotated[
        str,
        option(
            "HOST:PORT on which /-/live and /-/ready are answered too; empty: only beside the application.",
            pattern=r"|.*:\d{1,5}",
            pattern_words="HOST:PORT",
        ),
    ] = ""


class DoorSettings(Settings, prefix="HOLDFAST_DOOR", title="door"):
    """What is refused before the application is called."""

    head_max_bytes: Annotated[
        int, option("The most bytes that a request's line and headers may have.", ge=1024, le=16_777_216)
    ] = 65_536
