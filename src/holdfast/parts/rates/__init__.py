"""Rates: nobody takes more than a share, across all workers of a machine. Keeps *guarded*.

    HOLDFAST_RATE="600/min burst 100"              each client, by its address
    await rates.limit("login", account, "10/min")  whoever you name, for what you name

Clients are counted in one table that the workers of `holdfast run` share. Under another server, each process counts for
itself.
"""

from holdfast.parts.rates.asking import limit, limit_sync
from holdfast.parts.rates.layer import layer
from holdfast.parts.rates.process import configure, rates, table
from holdfast.parts.rates.settings import Rates, RateSettings
from holdfast.parts.rates.table import Table

__all__ = ["RateSettings", "Rates", "Table", "configure", "layer", "limit", "limit_sync", "rates", "table"]
