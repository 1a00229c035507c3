"""The formats, and the application's own metrics: what prometheus_client is needed for.

Where several processes serve, it keeps the application's numbers in files, one for each kind of metric and process. Its
merge of them fails as a whole if one file is torn or still empty, as a kill can leave it: here such a file is left out.
"""

import json
import logging
import os
import platform
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

from prometheus_client import REGISTRY, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from holdfast.decide.metrics import Numbers
from holdfast.parts.metrics import families
from holdfast.parts.metrics.settings import ENVIRONMENT
from holdfast.parts.metrics.text import END, text_of

_LOG = logging.getLogger("holdfast.metrics")
_TEXT: Final = "text/plain; version=0.0.4"
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"


class _Collected:
    """What was collected, in the form that an encoder asks for."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def render(numbers: Numbers, application: Path | None, *, openmetrics: bool) -> tuple[str, bytes]:
    """The content type and the body of an answer: the application's own metrics, and our `numbers`.

    The former are in the folder `application`, or else in this process. If they cannot be had, ours come alone.
    """
    encode, content_type = choose_encoder(_OPENMETRICS if openmetrics else _TEXT)
    try:
        theirs = encode(_Collected(REGISTRY.collect() if application is None else _merged(application)))
    except Exception as error:  # noqa: BLE001 - an application's collector may raise anything
        _LOG.error("the application's own metrics cannot be told", exc_info=error)
        theirs = b""
    numbers[families.INFO.name] = {_versions(): [1.0]}
    ours = text_of(numbers, openmetrics=openmetrics)
    return content_type, theirs.removesuffix(END) + ours + (END if openmetrics else b"")


@cache
def _versions() -> tuple[str, str]:
    return version("holdfast"), platform.python_version()


def adopt(folder: Path, process: str) -> None:
    """Let the metrics that the application makes from now on be kept in `folder`, under the name `process`.

    Its counters and histograms go on from those of the process that had the name before; its gauges do not.
    """
    for file in folder.glob(f"*_{process}.db"):
        if file.name.startswith(("gauge_live", "gauge_all_")) or not _is_whole(file):
            file.unlink(missing_ok=True)
    os.environ[ENVIRONMENT] = str(folder)
    owner = os.getpid()

    def name() -> str:
        """A child that was forked off must not write to its parent's files."""
        pid = os.getpid()
        return process if pid == owner else f"{process}-{pid}"

    values.ValueClass = cast("Callable[[Callable[[], str]], type[values.MutexValue]]", values.MultiProcessValue)(name)


# -- the application's --


def _merged(folder: Path) -> Iterable[Metric]:
    files = sorted(folder.glob("*.db"))
    try:
        return _merge(files)
    except Exception:  # noqa: BLE001 - whatever a torn file brings about; below it is found out which
        whole = [file for file in files if _is_whole(file)]
        _LOG.warning("metrics files are torn and left out", extra={"files": len(files) - len(whole)})
        return _merge(whole)


def _merge(files: Iterable[Path]) -> Iterable[Metric]:
    merge = cast("Callable[[list[str]], Iterable[Metric]]", MultiProcessCollector.merge)
    return list(merge([str(file) for file in files]))


def _is_whole(file: Path) -> bool:
    read = cast("Callable[[str], Iterable[tuple[str, float, float, int]]]", MmapedDict.read_all_values_from_file)
    try:
        return all(len(json.loads(key)) == 4 for key, *_ in read(str(file)))
    except Exception:  # noqa: BLE001 - as above
        return False
