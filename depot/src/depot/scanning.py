"""Looks into each file before anybody else can see it.

It is no virus scanner, and never says that a file is clean: it shows where one goes, and knows only the file that is
made to test that (EICAR). A real one would hand `content` on, as it comes, and say FAILED where it cannot be reached.
"""

from collections.abc import AsyncIterator
from typing import Final

from holdfast import uploads

_LONGEST: Final = 128
_TEST_FILE: Final = b"".join((b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!", b"$H+H*"))
"""In pieces, for scanners that look through source."""
_MAY_FOLLOW: Final = b" \t\n\r\x1a"


async def scan(upload: uploads.Upload, content: AsyncIterator[bytes]) -> uploads.Verdict:
    """INFECTED for the test file, NOT_SCANNED for all others."""
    if upload.offset > _LONGEST:
        return uploads.Verdict.NOT_SCANNED
    whole = b"".join([piece async for piece in content])
    if whole.rstrip(_MAY_FOLLOW) == _TEST_FILE:
        return uploads.Verdict.INFECTED
    return uploads.Verdict.NOT_SCANNED
