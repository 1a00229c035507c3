"""The scenarios, one file each; here is the order in which they run."""

from typing import Final

from holdfast.prove.scenario import AnyScenario
from holdfast.prove.scenarios import (
    deadlines,
    dependency,
    descriptors,
    drain,
    duplicates,
    growing_export,
    growing_upload,
    hostile,
    journeys,
    killed_upload,
    killed_write,
    loud_client,
    malformed,
    overload,
    planted_secrets,
    power_loss,
    refusals,
    resumed_twice,
    slow_clients,
    slow_handler,
    vanishing,
)

ALL: Final[tuple[AnyScenario, ...]] = (
    journeys.SCENARIO,
    hostile.SCENARIO,
    refusals.SCENARIO,
    planted_secrets.SCENARIO,
    resumed_twice.SCENARIO,
    duplicates.SCENARIO,
    power_loss.SCENARIO,
    slow_handler.SCENARIO,
    deadlines.SCENARIO,
    dependency.SCENARIO,
    drain.SCENARIO,
    killed_upload.SCENARIO,
    killed_write.SCENARIO,
    growing_upload.SCENARIO,
    growing_export.SCENARIO,
    vanishing.SCENARIO,
    descriptors.SCENARIO,
    slow_clients.SCENARIO,
    loud_client.SCENARIO,
    overload.SCENARIO,
    malformed.SCENARIO,
)
"""Quick ones first, so that the first verdict is soon there."""
