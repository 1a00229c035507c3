"""Where metrics are answered, as the operator says it."""

import importlib.util
from typing import Annotated, Final

from holdfast.decide.metrics import Place, Where, place
from holdfast.errors import ExtraMissing, SettingsInvalid
from holdfast.settings import Settings, option

_PACKAGE = "prometheus_client"
ENVIRONMENT: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells prometheus_client of the folder in which processes share their numbers."""


class MetricsSettings(Settings, prefix="HOLDFAST_METRICS", title="metrics"):
    """The numbers that Prometheus asks for at /-/metrics."""

    where: Annotated[
        Where,
        option(
            "auto: at the health address, or beside the application where there is none; with the extra [prometheus] "
            "only. app: beside the application. health: at the health address. off: nowhere, and nothing is counted."
        ),
    ] = "auto"


def place_of(settings: MetricsSettings, *, health: bool) -> Place:
    """Where metrics are to be answered; `health` says whether there is a health address.

    Raises ExtraMissing where they are asked for and cannot be written, SettingsInvalid where the address is missing.
    """
    installed = importlib.util.find_spec(_PACKAGE) is not None
    found = place(settings.where, installed=installed, health=health)
    if found is not Place.NOWHERE and not installed:
        raise ExtraMissing(f"Metrics need {_PACKAGE}: pip install 'holdfast[prometheus]'.")
    if found is Place.HEALTH and not health:
        raise SettingsInvalid(['HOLDFAST_METRICS_WHERE: found "health", which needs HOLDFAST_HEALTH_ADDRESS'])
    return found
