"""Holdfast makes a Python backend hold up.

Everything at once: `Holdfast(app)`, or `holdfast run module:app` without changing a line.
One part alone: the modules `context`, `deadlines`, `errors`, `exports`, `leaks`, `logs`, `offload`,
`problems`, `rates`, `resources`, `settings` and `uploads`.
"""

from holdfast import context as context
from holdfast import deadlines as deadlines
from holdfast import errors as errors
from holdfast import exports as exports
from holdfast import leaks as leaks
from holdfast import logs as logs
from holdfast import problems as problems
from holdfast import resources as resources
from holdfast import settings as settings
from holdfast import uploads as uploads
from holdfast.app import Holdfast
from holdfast.context import RequestContext, continuing, current, set_action, set_actor
from holdfast.errors import (
    BadRequest,
    Conflict,
    DeadlinePassed,
    Forbidden,
    Gone,
    HeadersTooLarge,
    HoldfastError,
    InsufficientStorage,
    Invalid,
    MethodNotAllowed,
    NotFound,
    RangeNotSatisfiable,
    RequestTimeout,
    TooLarge,
    TooMany,
    Unauthorised,
    Unavailable,
    UnsupportedMedia,
    UpstreamFailed,
    UpstreamTimeout,
    UriTooLong,
)
from holdfast.parts import offload as offload
from holdfast.parts import rates as rates
from holdfast.parts.drain import draining
from holdfast.resources import Resources
from holdfast.settings import Secret, Settings, option

__all__ = [
    "BadRequest",
    "Conflict",
    "DeadlinePassed",
    "Forbidden",
    "Gone",
    "HeadersTooLarge",
    "Holdfast",
    "HoldfastError",
    "InsufficientStorage",
    "Invalid",
    "MethodNotAllowed",
    "NotFound",
    "RangeNotSatisfiable",
    "RequestContext",
    "RequestTimeout",
    "Resources",
    "Secret",
    "Settings",
    "TooLarge",
    "TooMany",
    "Unauthorised",
    "Unavailable",
    "UnsupportedMedia",
    "UpstreamFailed",
    "UpstreamTimeout",
    "UriTooLong",
    "context",
    "continuing",
    "current",
    "deadlines",
    "draining",
    "errors",
    "exports",
    "leaks",
    "logs",
    "offload",
    "option",
    "problems",
    "rates",
    "resources",
    "set_action",
    "set_actor",
    "settings",
    "uploads",
]
