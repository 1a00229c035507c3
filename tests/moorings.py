"""Settings classes that the tests of settings load, and the faults that loading finds."""

import enum
from pathlib import Path
from typing import Annotated, Literal

import pytest

from holdfast import settings
from holdfast.errors import SettingsInvalid
from holdfast.settings import Secret, Settings, option


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Boat(Settings, prefix="HOLDFAST_BOAT", title="boat"):
    """How a boat is moored."""

    delay_s: Annotated[float, option("Seconds to wait.", ge=0, le=3600)] = 5.0
    port: Annotated[int, option("The port to call at.", ge=0, le=65535, also="BERTH")] = 8000
    name: Annotated[str, option("What it is called.", min_length=2, pattern="[a-z]+")] = "kelp"
    afloat: Annotated[bool, option("Whether it swims.")] = True


class Cargo(Settings, prefix="CARGO", title="cargo"):
    """What a boat carries."""

    hold: Annotated[Path, option("Where it lies.")] = Path("hold")
    colour: Annotated[Colour, option("Its colour.")] = Colour.RED
    level: Annotated[Literal["DEBUG", "INFO"], option("How much is told.")] = "INFO"
    goods: Annotated[tuple[str, ...], option("What it is.")] = ()
    crates: Annotated[int | None, option("How many at most.", gt=0)] = 10


class Papers(Settings, prefix="PAPERS", title="papers"):
    """What the harbour asks for."""

    seal: Annotated[Secret | None, option("The seal.", min_length=4)] = None
    owner: Annotated[str, option("Who owns it.")]


class Free(Settings, prefix="FREE", title="free"):
    """Settings that only their types limit."""

    number: Annotated[float, option("A number.", lt=1e300)] = 0.0
    text: Annotated[str | None, option("A text.")] = None
    path: Annotated[Path | None, option("A path.")] = None


def faults(*classes: type[Settings], environ: dict[str, str], folder: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        settings.load_all(*classes, environ=environ, folder=folder)
    return caught.value.faults
