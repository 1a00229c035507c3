"""The settings of offload."""

import dataclasses
import os
from typing import Annotated

from holdfast.settings import Settings, option


def _processors() -> int:
    return len(os.sched_getaffinity(0))


class OffloadSettings(Settings, prefix="HOLDFAST_OFFLOAD", title="offload"):
    """The threads and processes for calculation and blocking calls."""

    threads: Annotated[
        int, option("How many functions run at the same time.", ge=1, le=1024, default="processors + 4, at most 32")
    ] = dataclasses.field(default_factory=lambda: min(32, _processors() + 4))
    processes: Annotated[
        int,
        option(
            "How many functions run in processes of their own at the same time.", ge=1, le=512, default="processors"
        ),
    ] = dataclasses.field(default_factory=_processors)
    queue: Annotated[
        int,
        option(
            "How many calls may wait for a free thread, and as many for a process; more are refused.",
            ge=0,
            le=1_000_000,
        ),
    ] = 1000
    grace_s: Annotated[
        float,
        option(
            "Seconds that a call in a process may go on after nobody waits for it; then it is killed.", ge=0, le=86400
        ),
    ] = 5.0
    sync_threads: Annotated[
        int,
        option(
            "How many of the framework's own synchronous handlers run at the same time, where it uses AnyIO.",
            ge=1,
            le=10_000,
        ),
    ] = 40
