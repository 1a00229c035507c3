"""The scenarios, one file each; here is the order in which they run."""

from typing import Final

from holdfast.prove.scenario import AnyScenario
from holdfast.prove.scenarios import (
    deadlines,
    dependency,
    descriptors,
    drain,
    growing_export,
    growing_upload,
    duplicates,
    hostile,
    journeys,
    killed_upload,
    killed_write,
    loud_client,
    malformed,
    overload,
    planted_secrets,
    power_loss,
    resumed_twice,
    slow_clients,
    slow_handler,
    vanishing,
)

ALL: Final[tuple[AnyScenario, ...]] = (
    journeys.SCENARIO,
    hostile.SCENARIO,
    resumed_twice.SCENARIO,
    drain.SCENARIO,
    slow_clients.SCENARIO,
    slow_handler.SCENARIO,
    overload.SCENARIO,
    deadlines.SCENARIO,
    dependency.SCENARIO,
    growing_upload.SCENARIO,
    growing_export.SCENARIO,
    killed_upload.SCENARIO,
    killed_write.SCENARIO,
    power_loss.SCENARIO,
    vanishing.SCENARIO,
    descriptors.SCENARIO,
    loud_client.SCENARIO,
    duplicates.SCENARIO,
    malformed.SCENARIO,
    planted_secrets.SCENARIO,
)
"""Quick ones first, so that the first verdict is soon there."""
