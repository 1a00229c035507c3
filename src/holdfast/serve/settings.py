"""The settings of `holdfast run`."""

import dataclasses
import resource
from typing import Annotated

from holdfast.settings import Settings, option


def _most_connections() -> int:
    """So many that there are descriptors left for what the process has open beside them."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, descriptors // 2, min(descriptors * 9 // 10, descriptors - 64))


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
    keep_alive_s: Annotated[
        int,
        option("Seconds that a connection may wait for its next request; more than the proxy's own.", ge=1, le=3600),
    ] = 5


class SlowSettings(Settings, prefix="HOLDFAST", title="slow"):
    """How slowly a client may send, and how many may be connected."""

    header_timeout_s: Annotated[
        float, option("Seconds in which a request's line and headers have to come.", gt=0, le=3600)
    ] = 10.0
    body_min_bytes_s: Annotated[
        int,
        option("Bytes a second that a body has to bring, over each 10 seconds of waiting for it; 0: any.", ge=0),
    ] = 1024
    connections_max: Annotated[
        int,
        option(
            "The most connections of a process; those that wait for their next request make room for others.",
            ge=1,
            le=1_000_000,
            default="nine tenths of the file descriptors, and 64 less than these where they are few",
        ),
    ] = dataclasses.field(default_factory=_most_connections)


class ProxySettings(Settings, prefix="HOLDFAST", title="proxy"):
    """What a proxy in front does to the addresses."""

    root_path: Annotated[
        str,
        option(
            "The path below which a proxy shows the application, and which it takes away, such as /shop; empty: none.",
            pattern=r"|(/[A-Za-z0-9._~-]+)+",
            pattern_words="/ and a name, once or more, without a slash at the end",
        ),
    ] = ""


class StartSettings(Settings, prefix="HOLDFAST_START", title="start"):
    """How long a start may take."""

    limit_s: Annotated[
        float,
        option(
            "Seconds that a start may take. Then it is said where it stands, and a worker is killed.", gt=0, le=86400
        ),
    ] = 120.0


class WorkerSettings(Settings, prefix="HOLDFAST_WORKER", title="worker"):
    """How long a worker serves, and what is done about one that does not."""

    memory_max_mb: Annotated[
        int, option("MB (of 1,000,000 bytes) of its own that a worker may have until it is replaced; 0: any.", ge=0)
    ] = 0
    lifetime_s: Annotated[float, option("Seconds that a worker serves until it is replaced; 0: for ever.", ge=0)] = 0.0
    jitter: Annotated[
        float, option("The part of those two by which each worker's are lower, at random, at most.", ge=0, le=0.9)
    ] = 0.1
    hang_s: Annotated[
        float,
        option(
            "Seconds without a turn of its event loop after which a worker in which nothing works is killed; 0: never.",
            ge=0,
            le=86400,
        ),
    ] = 30.0
    busy_s: Annotated[
        float,
        option("Seconds after which it is killed even if something in it works; 0: never.", ge=0, le=604800),
    ] = 300.0

    @property
    def limited(self) -> bool:
        """Whether a worker is replaced from time to time."""
        return bool(self.memory_max_mb or self.lifetime_s)


class ControlSettings(Settings, prefix="HOLDFAST", title="control"):
    """Where a running service can be asked, by `holdfast profile`."""

    control: Annotated[
        str,
        option(
            "The folder of the control sockets, which belongs to the service's user alone; off: none. "
            "Empty: $XDG_RUNTIME_DIR/holdfast, or a folder of the user's among the temporary files."
        ),
    ] = ""
