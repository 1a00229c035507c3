"""What all of a process goes by: its settings, and the table that it shares with others."""

import dataclasses
import threading

from holdfast.parts.rates.settings import Rates, RateSettings
from holdfast.parts.rates.table import Table
from holdfast.settings import load


class _Process:
    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.rates: Rates | None = None
        self.table: Table | None = None


_process = _Process()


def configure(settings: RateSettings | None, descriptor: int | None = None, *, observe: bool = False) -> None:
    """Go by `settings`, and count in the table behind `descriptor`; None: by what is loaded, in a table of its own.

    With `observe` nothing is refused, whatever they say. Raises SettingsInvalid.
    """
    if settings is not None and observe:
        settings = dataclasses.replace(settings, rate_observe=True)
    with _process.guard:
        _process.rates = Rates(settings) if settings is not None else None
        _process.table = Table(descriptor) if descriptor is not None else None


def rates() -> Rates:
    """What is allowed. Raises SettingsInvalid."""
    with _process.guard:
        if _process.rates is None:
            _process.rates = Rates(load(RateSettings))
        return _process.rates


def table() -> Table:
    """The table of this process."""
    with _process.guard:
        if _process.table is None:
            _process.table = Table()
        return _process.table
