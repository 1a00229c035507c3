"""Logs: JSON lines on standard output from the standard logging tree, one canonical line for each request."""

from holdfast.logs.canonical import layer
from holdfast.logs.setup import LogSettings, also_tell, configure, installed, regain, tell, tell_no_more

__all__ = ["LogSettings", "also_tell", "configure", "installed", "layer", "regain", "tell", "tell_no_more"]
