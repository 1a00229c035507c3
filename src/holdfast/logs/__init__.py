"""Logs: JSON lines on standard output from the standard logging tree, one canonical line for each request."""

from holdfast.logs.canonical import layer
from holdfast.logs.setup import LogSettings, configure, installed, tell

__all__ = ["LogSettings", "configure", "installed", "layer", "tell"]
