"""What differs between the versions of "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload).

Each version of the draft names an interop version, which a client sends as `Upload-Draft-Interop-Version`. `INTEROPS`
is what the texts of -01 to -12 demand; what is the same in all of them is in `ietf`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Interop(NamedTuple):
    """What one interop version demands."""

    number: int
    drafts: str
    """The versions of the draft that have it."""
    complete: str = "Upload-Complete"
    """The header that says whether the whole ends; version 3 says the opposite with `Upload-Incomplete`."""
    without: bool | None = False
    """Whether a body without that header ends the whole; None: an append without it is refused."""
    partial_type: bool = True
    """Whether an append must be `application/partial-upload`."""
    appended: int = 204
    """The status of an append after which more will come."""
    completed: int = 200
    """The status of an append that ended the whole."""
    age: str | None = "max-age"
    """What `Upload-Limit` calls the time that is left; None: there is no `Upload-Limit`."""
    told_length: bool = True
    """Whether the length is told with the offset."""
    progress: bool = True
    """Whether a 104 may tell of progress."""
    gone: bool = True
    """Whether an upload that is over may be told from one that never was (410 instead of 404)."""
    empty_ends: bool = False
    """Whether an upload of no bytes ends as it is made, even if its creation says otherwise: clients rely on it."""

    @property
    def inverted(self) -> bool:
        """Whether the header says the opposite."""
        return self.complete == "Upload-Incomplete"


INTEROPS: Final[Mapping[int, Interop]] = {
    3: Interop(
        3,
        "-01",
        complete="Upload-Incomplete",
        without=True,
        partial_type=False,
        appended=201,
        completed=201,
        age=None,
        told_length=False,
        progress=False,
        gone=False,
    ),
    4: Interop(
        4,
        "-02",
        partial_type=False,
        appended=201,
        completed=201,
        age=None,
        told_length=False,
        progress=False,
        gone=False,
    ),
    5: Interop(
        5,
        "-03",
        partial_type=False,
        appended=201,
        completed=201,
        age=None,
        told_length=False,
        gone=False,
        empty_ends=True,
    ),
    6: Interop(6, "-04, -05", appended=201, completed=201, age="expires", gone=False, empty_ends=True),
    7: Interop(7, "-06 to -08", without=None),
    8: Interop(8, "-09 to -12", without=None),
}
NEWEST: Final = INTEROPS[8]
