"""Metrics: where they are answered, which labels may stand in them, and how the numbers of processes make one.

Prometheus keeps a time series for each set of labels for weeks, so what comes from outside must never make one: a path
or a method that somebody thought up is counted under a word that is known.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Literal, TypeAlias

Labels: TypeAlias = tuple[str, ...]
Numbers: TypeAlias = dict[str, dict[Labels, list[float]]]
"""By family and labels: the value of a counter or gauge; of a histogram the sum, then the number in each bucket."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "CONNECT", "TRACE"})
NONE: Final = "none"
"""The route of a request for which no template is known."""
OTHER: Final = "other"
"""Stands for every value beyond those that are told apart."""
MOST_ROUTES: Final = 500
MOST_SERIES: Final = 4000
MOST_SPREADS: Final = 1000
_LONGEST_ROUTE: Final = 200
_LONGEST_ACCEPT: Final = 2000


class Place(StrEnum):
    """Who answers a scrape."""

    NOWHERE = "nowhere"
    """Nobody, and nothing is counted."""
    APP = "app"
    """The port of the application."""
    HEALTH = "health"
    """The health address."""


Where = Literal["auto", "app", "health", "off"]


def place(where: Where, *, installed: bool, health: bool) -> Place:
    """Where metrics are answered: `installed` says whether they can be written, `health` whether that address is there.

    By itself a port that anybody may reach tells nothing where there is another.
    """
    if where == "off" or (where == "auto" and not installed):
        return Place.NOWHERE
    if where == "auto":
        return Place.HEALTH if health else Place.APP
    return Place(where)


def method_label(method: str) -> str:
    """The method, or `other`: HTTP lets a client invent methods."""
    return method if method in METHODS else OTHER


def route_label(route: str | None, known: set[str]) -> str:
    """The template, `none` where there is none, or `other` for one too many or too odd to be one; it becomes `known`.

    A template can hold what a client sent, where an application is mounted below a parameter.
    """
    if route is None:
        return NONE
    if route in known:
        return route
    if len(known) >= MOST_ROUTES or len(route) > _LONGEST_ROUTE or not route.isprintable():
        return OTHER
    known.add(route)
    return route


def request_labels(labels: Labels, known: Mapping[Labels, object]) -> Labels:
    """The labels (method, route, status, outcome) of a request, or what stands for them once too many are `known`."""
    if labels in known or len(known) < MOST_SERIES:
        return labels
    return OTHER, OTHER, OTHER, labels[3]  # the share of failures stays true, whatever is sent


def spread_labels(labels: Labels, known: Mapping[Labels, object]) -> Labels:
    """The labels (method, route) of durations, or what stands for them once too many are `known`."""
    return labels if labels in known or len(known) < MOST_SPREADS else (OTHER, OTHER)


def added(numbers: Numbers, more: Mapping[str, Mapping[Labels, list[float]]]) -> None:
    """Add `more` to `numbers`, label set by label set. What has other buckets is of another version, and left out."""
    for family, rows in more.items():
        table = numbers.setdefault(family, {})
        for labels, values in rows.items():
            there = table.get(labels)
            if there is None:
                table[labels] = list(values)
            elif len(there) == len(values):
                there[:] = [one + other for one, other in zip(there, values, strict=True)]


def wants_openmetrics(accept: Iterable[str]) -> bool:
    """Whether the `Accept` headers of a scrape prefer OpenMetrics to Prometheus' text format."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for entry in ",".join(accept)[:_LONGEST_ACCEPT].split(","):
        kind, _, parameters = entry.partition(";")
        kind = kind.strip().lower()
        if kind in best:
            best[kind] = max(best[kind], _quality(parameters))
    return best["application/openmetrics-text"] > best["text/plain"]


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
