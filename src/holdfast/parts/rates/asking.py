"""Asking for an application's own limits: by account, by API key, by whatever it names."""

import logging
import random
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from holdfast.decide.rates import Rate, Verdict, limit_field, policy_field, rate, retry_after
from holdfast.errors import TooMany
from holdfast.logs.sampled import Sampled
from holdfast.parts.rates.process import rates, table

_LOG = logging.getLogger("holdfast.rates")
OBSERVED: Final = Sampled(_LOG, "observed: a request would be refused, for its sender has sent too many")
REFUSED: Final = Sampled(_LOG, "requests are refused, for their senders have sent too many")
CHANCE: Final = random.Random()  # noqa: S311 - it spreads those who come back, and hides nothing

_rate: Final = lru_cache(maxsize=256)(rate)


async def limit(policy: str, key: str, allowed: str) -> None:
    """Count one more of `policy` for `key`, and raise TooMany where that is more than `allowed`.

        await rates.limit("login", account, "10/min")

    `key` is whoever is counted: an account, an API key, an address; it is kept as a keyed hash. `allowed` is a rate
    such as `600/min`, `10/5min` or `5/s burst 20`. The answer says when to come back. Where rates are only observed,
    nobody is refused. Raises ValueError where `allowed` is no rate.
    """
    limit_sync(policy, key, allowed)


def limit_sync(policy: str, key: str, allowed: str) -> None:
    """The same for threads."""
    found = _rate(allowed)
    verdict = table().ask(f"{policy}\0{key}", found, time.monotonic())
    if verdict.allowed:
        return
    if rates().observes:
        OBSERVED.happened({"policy": policy})
        return
    raise refusal(policy, told(policy, found, verdict))


def refusal(policy: str, headers: Mapping[str, str] | None = None) -> TooMany:
    """The error for who has sent too many, in the words of the draft."""
    error = TooMany(headers=headers)
    error.members["violated-policies"] = [policy]
    return error


def told(policy: str, allowed: Rate, verdict: Verdict) -> dict[str, str]:
    """The headers of a refusal."""
    return {
        "Retry-After": str(retry_after(verdict.wait_s, CHANCE.random())),
        "RateLimit": limit_field(policy, verdict),
        "RateLimit-Policy": policy_field(policy, allowed),
    }
