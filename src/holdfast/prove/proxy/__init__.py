"""A TCP proxy in front of a dependency, with faults that are set and cleared while it runs: see docs/proxy.md."""

from holdfast.decide.dependencies import Address
from holdfast.decide.faults import (
    AcceptHang,
    Bandwidth,
    Cut,
    Direction,
    Fault,
    HalfOpen,
    Latency,
    Refuse,
    Reset,
    Slice,
)
from holdfast.prove.proxy.proxy import Proxy
from holdfast.prove.proxy.seen import Seen
from holdfast.prove.proxy.thread import RunningProxy, running_proxy

__all__ = [
    "AcceptHang",
    "Address",
    "Bandwidth",
    "Cut",
    "Direction",
    "Fault",
    "HalfOpen",
    "Latency",
    "Proxy",
    "Refuse",
    "Reset",
    "RunningProxy",
    "Seen",
    "Slice",
    "running_proxy",
]
