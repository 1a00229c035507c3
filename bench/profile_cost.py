"""What a profile costs the service that it is taken of: the same server while one is taken and while none is.

    python bench/profile_cost.py            twenty turns of a second for each
    python bench/profile_cost.py --quick    four turns

The server is asked without a pause by the client of `request_cost.py`, on the other core. Each turn with a profile is
compared with the turn without beside it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from request_cost import Contender, Taking, Turn, _cores, running

_TURN_S: Final = 1.0
_LEAD_S: Final = 0.5
"""How long a profile is waited for to be under way."""


def _with_profile(server: Taking, folder: str) -> Turn:
    command = [sys.executable, "-m", "holdfast", "profile", "--seconds", str(_TURN_S + 2 * _LEAD_S + 1)]
    profile = subprocess.Popen(
        command, env={"HOLDFAST_CONTROL": folder, "PATH": ""}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    turn = server.turn(_TURN_S, _LEAD_S + 1)
    _, said = profile.communicate()
    if profile.returncode:
        sys.exit(said.decode())
    return turn


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a profile costs.")
    parser.add_argument("--quick", action="store_true", help="four turns")
    turns = 4 if parser.parse_args().quick else 20
    lines: list[int] = []
    found: list[tuple[Turn, Turn]] = []
    with tempfile.TemporaryDirectory() as folder:
        control = str(Path(folder) / "control")
        # nothing is to be refused: the client takes no refusal for an answer
        run = ("env", f"HOLDFAST_CONTROL={control}", "HOLDFAST_SHED=off", sys.executable, "-m", "holdfast", "run")
        contender = Contender("holdfast run", (*run, "app:app"), logs=True)
        with running(contender, _cores(), lines.append) as server:
            taking = Taking(contender, server)
            taking.turn(_TURN_S, _LEAD_S)  # so that it serves, and is warm
            _with_profile(taking, control)
            for _ in range(turns):
                without = taking.turn(_TURN_S, _LEAD_S)
                found.append((_with_profile(taking, control), without))
    for name, which in (("without", 1), ("with a profile", 0)):
        rate = statistics.median(pair[which].rate for pair in found)
        cpu = statistics.median(pair[which].cpu_us for pair in found)
        print(f"{name:<16} {rate:9,.0f} requests/s   {cpu:6.2f} µs of CPU per request")
    less = sorted(1 - profiled.rate / plain.rate for profiled, plain in found)
    print(f"less with it: {statistics.median(less):.1%} (turns: {less[0]:.1%} to {less[-1]:.1%})")


if __name__ == "__main__":
    main()
