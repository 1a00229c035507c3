"""Deadlines kept: a request whose time is over, or whose client has left, is worked on no more. Keeps *punctual*.

How long it has is decided in `holdfast.decide.deadlines`, and what an application says and asks of it is in
`holdfast.deadlines`. Here it is ended.
"""

from holdfast.parts.deadlines.layer import layer
from holdfast.parts.deadlines.settings import DeadlineSettings, configure, give, timeouts_of

__all__ = ["DeadlineSettings", "configure", "give", "layer", "timeouts_of"]
