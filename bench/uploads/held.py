"""`holdfast.uploads` on a disk, with an SQLite ledger, around the bare application."""

from sink import app as sink

from holdfast import uploads
from holdfast.asgi import Scope


async def who(scope: Scope) -> str:  # noqa: ARG001 - the hook is given it
    """Everybody is let in."""
    return "anna"


files = uploads.Uploads(
    blobs=uploads.blobs_at("files"), ledger=uploads.ledger_at("uploads.sqlite"), authorise=who, at="/upload"
)
app = files.around(sink)
