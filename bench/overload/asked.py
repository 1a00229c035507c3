"""What is asked of the servers: small requests, and one of ten says that it is of the highest class."""

from collections.abc import Sequence
from typing import Any, Final

from serving import CORES

from holdfast.prove.load import Job, Phase, Template

CLASS: Final = (("Holdfast-Priority", "critical"), ("X-Priority", "high"))
"""What a request of the highest class carries: for `holdfast run`, and for aioresilience."""
ACCEPT: Final = (("Accept", "text/plain"),)


def plain(path: str) -> Template:
    """A request that asks for its own number back, nine times of ten."""
    return Template(f"{path}?n={{n}}", headers=ACCEPT, weight=9, exactly=b"done {n}")


def critical(path: str) -> Template:
    """The tenth."""
    return Template(f"{path}?n={{n}}", headers=ACCEPT + CLASS, weight=1, critical=True, exactly=b"done {n}")


def job(port: int, path: str, kind: str, phases: Sequence[tuple[float, float]], **more: Any) -> Job:
    """Such requests by phases: seconds, and the mean rate in them."""
    templates = (critical(path), plain(path))
    return Job(port, templates, [Phase(*one) for one in phases], kind, servers_core=CORES.server, **more)
