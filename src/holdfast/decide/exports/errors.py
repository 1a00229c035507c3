"""What can be wrong with an export."""

from holdfast.errors import HoldfastError, NotFound


class UnknownFormat(NotFound):
    """There is no export in this format."""

    code = "unknown-format"
    advice = "Ask for one of the formats that are named."


class NotAcceptable(HoldfastError):
    """There is no export in any of the formats that the request accepts."""

    code = "not-acceptable"
    status = 406
    advice = "Accept one of the media types that are named."


class ColumnsMismatch(HoldfastError):
    """The rows of the export do not fit its columns."""

    code = "columns-mismatch"
    advice = "Tell the operator the request ID: the export has to be mended."


class SourceUnsuited(HoldfastError):
    """Rows cannot be had from this."""

    code = "source-unsuited"
    advice = "Tell the operator the request ID: the export has to be mended."


class ReaderTooSlow(HoldfastError):
    """The client read more slowly than an export is kept for."""

    code = "reader-too-slow"
    status = 408
    advice = "Ask again over a faster connection, or ask for the export as a file."


class Truncated(HoldfastError):
    """The export does not end as a whole one does."""

    code = "truncated"
    advice = "Fetch it again: a part of it is missing or was changed."
