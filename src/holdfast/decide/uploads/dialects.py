"""Which dialect a request speaks. One port takes them all; the head says which."""

from holdfast.decide.uploads.dialect import Answer, Dialect, Terms
from holdfast.decide.uploads.head import Head, media_type
from holdfast.decide.uploads.ietf import PARTIAL_UPLOAD, spoken_limits, spoken_version
from holdfast.decide.uploads.tus import OFFSET_STREAM, TUS, announced
from holdfast.decide.uploads.whole import FORM, FORM_TYPE, PLAIN


def spoken(head: Head) -> Dialect:
    """The dialect of a request, by its head alone: tus, the IETF draft in the version it names, a form, or plain.

    `Tus-Resumable` makes it tus; `Upload-Draft-Interop-Version`, or a valid `Upload-Complete`, the IETF draft, which is
    also what a request to the address of an upload speaks that says nothing. What is left is a whole file in one body:
    a form if its media type says so.
    """
    kind = media_type(head)
    if head.get("tus-resumable") is not None or kind == OFFSET_STREAM:
        return TUS
    if head.upload_id is not None and head.method in {"POST", "PUT"}:
        return PLAIN
    return spoken_version(head) or (FORM if kind == FORM_TYPE else PLAIN)


def discovery(head: Head, terms: Terms) -> Answer:
    """The answer to OPTIONS: what is spoken here, with which limits. Anybody may know that."""
    methods = "POST, PUT, PATCH, OPTIONS" if head.upload_id is None else "HEAD, GET, PATCH, DELETE, OPTIONS"
    found = (
        ("allow", methods),
        ("accept-patch", f"{PARTIAL_UPLOAD}, {OFFSET_STREAM}"),
        ("upload-limit", spoken_limits(head, terms.limits)),
        *announced(terms.limits),
    )
    return Answer(204, found)
