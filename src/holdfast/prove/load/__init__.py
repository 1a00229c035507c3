"""Load: requests that come when they are meant to come, whatever the server does (open loop), and what became of them.

    result = await offered(Job(port=8000, templates=[Template("/orders?n={n}")], phases=[Phase(10, 200)]))
    assert not result.void
    percentiles(one.took for one in result.requests).p99

The generator is a process of its own: `generator.py` is its loop, `job.py` says what it is to do, `wire.py` is its
HTTP. What follows from a result is in `holdfast.decide.latencies` and `holdfast.decide.goodput`. It speaks HTTP/1.1
without TLS.
"""

from holdfast.prove.load.arrivals import Phase
from holdfast.prove.load.capacity import measured_capacity
from holdfast.prove.load.job import KINDS, Job, KindName, Template
from holdfast.prove.load.offering import LoadFailed, Offering, offered, offering

__all__ = [
    "KINDS",
    "Job",
    "KindName",
    "LoadFailed",
    "Offering",
    "Phase",
    "Template",
    "measured_capacity",
    "offered",
    "offering",
]
