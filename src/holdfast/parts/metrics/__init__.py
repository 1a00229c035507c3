"""Metrics: numbers in Prometheus' format at /-/metrics, those of all workers together.

A request adds to plain numbers in its process. Once a second, and before each answer, they are written to a folder that
the processes of a service share; whoever answers a scrape reads them all.
"""

from holdfast.parts.metrics.families import FAMILIES, Family
from holdfast.parts.metrics.layer import PATH, layer
from holdfast.parts.metrics.process import Metrics
from holdfast.parts.metrics.settings import MetricsSettings, place_of
from holdfast.parts.metrics.setup import configure, configure_worker, installed, supervising

__all__ = [
    "FAMILIES",
    "PATH",
    "Family",
    "Metrics",
    "MetricsSettings",
    "configure",
    "configure_worker",
    "installed",
    "layer",
    "place_of",
    "supervising",
]
