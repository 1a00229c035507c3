"""The metrics of this process: counted, shared with the other processes, told to whoever asks."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from holdfast.decide.metrics import Numbers, Place, added, wants_openmetrics
from holdfast.errors import Unavailable
from holdfast.parts.metrics.folder import Folder, decode, encode
from holdfast.parts.metrics.meter import Meter
from holdfast.parts.metrics.shared import Shared

_LOG = logging.getLogger("holdfast.metrics")
_LOOK_S: Final = 0.25
"""How often the event loop is asked how late it is."""
_LOOKS_A_FLUSH: Final = 4
_ANSWER_S: Final = 8.0
"""How long a scrape may take; Prometheus gives up after ten seconds unless told otherwise."""


class Metrics:
    """What counts, and what tells."""

    def __init__(
        self, place: Place, *, folder: Path | None = None, wanted: str | None = None, application: Path | None = None
    ) -> None:
        """Metrics that are answered at `place`, together with those of all processes that share `folder`.

        `wanted` is the place in the folder to be had, where one is given out; else it is the first free one.
        `application` is the folder in which prometheus_client keeps the application's own numbers, if there is one.
        """
        self.at_app: bool = place is Place.APP
        """Whether scrapes are answered beside the application."""
        self.at_health: bool = place is Place.HEALTH
        """Whether they are answered at the health address."""
        self.meter: Meter = Meter()
        self._path, self._wanted, self._application = folder, wanted, application
        self._folder: Folder | None = None
        self._guard = threading.Lock()
        self._flushing = Shared(self.flush, "holdfast-metrics-flush")
        self._texts = Shared(lambda: self._collect(openmetrics=False), "holdfast-metrics")
        self._openmetrics = Shared(lambda: self._collect(openmetrics=True), "holdfast-metrics")

    def open(self) -> None:
        """Take the place in the folder, if there is one; in the process that serves, which may be a fork of this."""
        if self._path is None or self._folder is not None:
            return
        try:
            self._folder = Folder(self._path, self._wanted)
        except OSError as error:
            _LOG.warning(f"metrics are those of this process alone: {error}")
            self._path = None
            return
        self.meter.process = self._folder.place
        self.meter.go_on_from(self._folder.before())
        self.flush()

    @asynccontextmanager
    async def live(self, *, serves: bool = True) -> AsyncGenerator[None]:
        """Look at the event loop, if it `serves`, and let the other processes have the numbers once a second."""
        self.open()
        loop = asyncio.get_running_loop()
        looks = 0

        def look(due: float) -> None:
            nonlocal looks, timer
            now = loop.time()
            looks += 1
            if serves:
                self.meter.loop_delayed(max(0.0, now - due))
            if self._folder is not None and looks % _LOOKS_A_FLUSH == 0:
                self._flushing.begin()
            timer = loop.call_at(now + _LOOK_S, look, now + _LOOK_S)

        timer = loop.call_later(_LOOK_S, look, loop.time() + _LOOK_S)
        try:
            yield
        finally:
            timer.cancel()
            self.flush()

    def flush(self) -> None:
        """Let the other processes have the numbers as they are now."""
        if self._folder is not None:
            with self._guard:
                self._folder.write(self.meter.snapshot())

    async def answer(self, accept: Sequence[str]) -> tuple[str, bytes]:
        """The content type and body of the answer to a scrape with the `Accept` headers `accept`.

        It is made in a thread, once for all who ask at the same time. Raises Unavailable where it takes too long.
        """
        try:
            async with asyncio.timeout(_ANSWER_S):
                kind = self._openmetrics if wants_openmetrics(accept) else self._texts
                return await asyncio.shield(kind.begin())
        except TimeoutError as error:
            raise Unavailable("The metrics could not be collected in time.") from error

    def _collect(self, *, openmetrics: bool) -> tuple[str, bytes]:
        from holdfast.parts.metrics import exposition  # noqa: PLC0415 - an extra

        return exposition.render(self._numbers(), self._application, openmetrics=openmetrics)

    def _numbers(self) -> Numbers:
        """The numbers of all processes. Ours are read as the others' are: what was told once is never told as less."""
        if self._folder is not None:
            self.flush()
            return self._folder.read()
        with self._guard:
            snapshot = decode(encode(self.meter.snapshot()))  # in one step, while nothing can be added
        added(snapshot.lasting, snapshot.passing)
        return snapshot.lasting
