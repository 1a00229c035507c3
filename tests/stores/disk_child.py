"""A process that receives an upload until it is killed, or kills itself at some call while it publishes.

python disk_child.py FOLDER ID OFFSET [CALL]
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from holdfast.stores.blobs import Saved
from holdfast.stores.disk import Disk
from holdfast.stores.disk_files import SYSTEM

SIZE = 40_001


def content(start: int, end: int) -> bytes:
    """Bytes that tell where they belong."""
    first = start // 8
    return b"".join(b"%08d" % (number % 10**8) for number in range(first, end // 8 + 1))[start - first * 8 :][
        : end - start
    ]


class Dying:
    """The disk of this machine, until the call that is told: the process is killed just before it, or just after."""

    def __init__(self) -> None:
        self.step = -1
        self.at = ""

    def __getattr__(self, name: str):
        def call(*arguments):
            if self.step >= 0 and name in {"cut", "sync", "rename", "sync_folder"}:
                self._die_if(f"{self.step} before")
                result = getattr(SYSTEM, name)(*arguments)
                self._die_if(f"{self.step} after")
                self.step += 1
                return result
            return getattr(SYSTEM, name)(*arguments)

        return call

    def _die_if(self, now: str) -> None:
        if now == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: str, upload_id: str, offset: str, at: str = "") -> None:
    files = Dying()
    async with Disk(Path(folder), files=files) as store, store.opened(upload_id, Saved(int(offset), "")) as part:
        while True:
            await part.write([content(part.offset, part.offset + SIZE)])
            saved = await part.sync()
            print(saved.offset, flush=True)
            if at:
                files.step, files.at = 0, at
                await part.publish()
                print("published", flush=True)
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
