"""A stage around a small backend whose source is in the test, started as a stranger's is: by a command."""

import sys
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.decide.verdicts import Judgement
from holdfast.prove.config import Template, parse
from holdfast.prove.record import Attempt, judged
from holdfast.prove.scenario import AnyScenario, Facts
from holdfast.prove.stage import Stage, Target

UVICORN = f"{sys.executable} -m uvicorn shop:app --host 127.0.0.1 --port {{port}} --log-level warning"
HOLDFAST = f"{sys.executable} -m holdfast run shop:app --host 127.0.0.1 --port {{port}}"


@asynccontextmanager
async def proving(
    tmp_path: Path, source: str, *, serve: str = UVICORN, quick: bool = True, seed: int = 1, **said: object
) -> AsyncGenerator[Stage]:
    """A stage for `source`, saved as shop.py. `said` is what [tool.holdfast.prove] says, with _ for -.

    The backend is told by SHOP_DATA where it may keep things: a folder that is there.
    """
    shop = tmp_path / "shop"
    shop.mkdir(exist_ok=True)
    (shop / "shop.py").write_text(textwrap.dedent(source))
    environment = {"SHOP_DATA": "{folder}", **said.pop("environment", {})}
    table = {key.replace("_", "-"): value for key, value in said.items()}
    config = parse({"serve": serve, **table, "environment": environment})
    roles = {key: getattr(config, key) for key in ("slow", "upload", "export", "write", "calls_out", "socket")}
    target = Target(config, config.read or Template("GET", "/"), **roles, schema=config.openapi)
    yield Stage(target, shop, tmp_path / "run", seed=seed, secret="Pr0ve-of-tests", quick=quick, tell=lambda _: None)


def verdict(scenario: AnyScenario, facts: Facts) -> Judgement:
    """What a run amounts to, as `holdfast prove` says it."""
    return judged(scenario, Attempt(facts, 0.0))
