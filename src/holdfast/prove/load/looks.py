"""What the server's processes and their core have used, as a generator notes it meanwhile."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")


def spent(pids: Sequence[int], core: int | None) -> tuple[float, float, int]:
    """CPU seconds of all processes so far, seconds that their core was busy, and bytes of them in RAM."""
    cpu_s = 0.0
    memory = 0
    for pid in pids:
        try:
            cpu_s += time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3): finer than /proc tells it
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except OSError:  # it has just ended
            continue
    return cpu_s, 0.0 if core is None else _busy_s(core), memory


def _busy_s(core: int) -> float:
    lines = Path("/proc/stat").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"cpu{core} "))
    user, nice, system, _, _, irq, softirq = map(int, found.split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS
