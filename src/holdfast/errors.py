"""Every error of Holdfast, and the ones it offers to applications.

    HoldfastError                    500
      BadRequest                     400  bad-request
      Unauthorised                   401  unauthorised
      Forbidden                      403  forbidden
      NotFound                       404  not-found
      MethodNotAllowed               405  method-not-allowed
      RequestTimeout                 408  request-timeout
        TooSlow                      408  too-slow
      Conflict                       409  conflict
        Evicted                      409  evicted
      Gone                           410  gone
        UploadGone                   410  upload-gone
      TooLarge                       413  too-large
        QuotaExceeded                413  quota-exceeded
      UriTooLong                     414  uri-too-long
      UnsupportedMedia               415  unsupported-media
      RangeNotSatisfiable            416  range-not-satisfiable
      Invalid                        422  invalid
        ScanRefused                  422  scan-refused
      TooMany                        429  too-many
        TooManyUploads               429  too-many-uploads
      HeadersTooLarge                431  headers-too-large
      Unforeseen                     500  unforeseen
      UpstreamFailed                 502  upstream-failed
      Unavailable                    503  unavailable
        Stopping                     503  stopping
        Overloaded                   503  overloaded
      UpstreamTimeout                504  upstream-timeout
      DeadlinePassed                 504  deadline-passed
      InsufficientStorage            507  insufficient-storage
      SettingsInvalid                500  settings-invalid
      AppNotFound                    500  app-not-found
      ExtraMissing                   500  extra-missing
      ResourceError                  500  resource-error
        ResourceUnknown              500  resource-unknown
        ResourceCycle                500  resource-cycle
        ResourceFailed               503  resource-failed
        ResourceNotClosed            500  resource-not-closed

A class explains itself once: its docstring is its message, `advice` is what the caller can do. The problem
document of an error (RFC 9457) is made from these by `holdfast.problems`.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar


class HoldfastError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    """The kebab-case name; the problem's type is `urn:holdfast:problem:CODE`."""
    status: ClassVar[int] = 500
    """The HTTP status it is answered with."""
    advice: ClassVar[str] = "Try again; if it stays, tell the operator the request ID."
    """What the caller can do about it."""

    def __init__(
        self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        """Say what happened this time in `detail`; `members` become members of the problem document.

        `detail`, `headers` and `members` go to the caller: no secrets and no internals in them.
        """
        self.detail: str = detail or self.message()
        self.headers: dict[str, str] = dict(headers or {})
        self.members = members
        super().__init__(self.detail)

    @classmethod
    def message(cls) -> str:
        """The sentence that stands for every error of this class: the first line of its docstring."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    @classmethod
    def title(cls) -> str:
        """A short name for people: the reason phrase of the status."""
        try:
            return HTTPStatus(cls.status).phrase
        except ValueError:
            return cls.message()


# -- the caller's --


class BadRequest(HoldfastError):
    """The request could not be understood."""

    code = "bad-request"
    status = 400
    advice = "Correct the request; sending it again as it is will fail again."


class Unauthorised(HoldfastError):
    """The request does not say who sends it, or its credentials are not valid."""

    code = "unauthorised"
    status = 401
    advice = "Send valid credentials."

    def __init__(
        self,
        detail: str | None = None,
        *,
        scheme: str = "Bearer",
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        """As HoldfastError; `scheme` is what `WWW-Authenticate` asks for."""
        super().__init__(detail, headers={"www-authenticate": scheme, **(headers or {})}, **members)


class Forbidden(HoldfastError):
    """The sender may not do this."""

    code = "forbidden"
    status = 403
    advice = "Ask for access, or use an account that has it."


class NotFound(HoldfastError):
    """There is nothing here."""

    code = "not-found"
    status = 404
    advice = "Check the address; what it named may be gone, or may not be yours."


class MethodNotAllowed(HoldfastError):
    """This address does not answer that method."""

    code = "method-not-allowed"
    status = 405
    advice = "Use one of the methods that the Allow header names."


class RequestTimeout(HoldfastError):
    """The request took too long to arrive."""

    code = "request-timeout"
    status = 408
    advice = "Send it again, over a faster connection if there is one."


class Conflict(HoldfastError):
    """The request does not fit the present state."""

    code = "conflict"
    status = 409
    advice = "Read the present state and decide again."


class Gone(HoldfastError):
    """What was here is gone for good."""

    code = "gone"
    status = 410
    advice = "Do not ask for it again."


class TooLarge(HoldfastError):
    """The request body is larger than is taken here."""

    code = "too-large"
    status = 413
    advice = "Send less at once."


class UriTooLong(HoldfastError):
    """The address is longer than is taken here."""

    code = "uri-too-long"
    status = 414
    advice = "Move long values from the address into the body."


class UnsupportedMedia(HoldfastError):
    """The body is of a type that is not taken here."""

    code = "unsupported-media"
    status = 415
    advice = "Send one of the types that the documentation names."


class RangeNotSatisfiable(HoldfastError):
    """The range that was asked for lies outside."""

    code = "range-not-satisfiable"
    status = 416
    advice = "Ask for the size first."


class Invalid(HoldfastError):
    """The request was understood, but a value in it is not valid."""

    code = "invalid"
    status = 422
    advice = "Correct the values that are named."


class TooMany(HoldfastError):
    """There were too many requests from this sender."""

    code = "too-many"
    status = 429
    advice = "Wait as long as Retry-After says, then go on more slowly."


class HeadersTooLarge(HoldfastError):
    """The request headers are larger than is taken here."""

    code = "headers-too-large"
    status = 431
    advice = "Send fewer or shorter headers; old cookies are the usual cause."


# -- the caller's, who uploads (those of the protocols: `holdfast.decide.uploads.errors`) --


class TooSlow(RequestTimeout):
    """The upload arrived more slowly than is waited for here."""

    code = "too-slow"
    advice = "Go on from the offset that is kept, over a faster connection if there is one."


class Evicted(Conflict):
    """A newer request for the same upload has taken its place."""

    code = "evicted"
    advice = "Leave the upload to the newer request, or ask for its offset and go on from there."


class UploadGone(Gone):
    """This upload is over and cannot be continued."""

    code = "upload-gone"
    advice = "Begin a new upload."


class QuotaExceeded(TooLarge):
    """There is not enough left of what the sender may store."""

    code = "quota-exceeded"
    advice = "Remove something, finish or cancel other uploads, or ask for more room."


class ScanRefused(Invalid):
    """The file was looked into and is not taken."""

    code = "scan-refused"
    advice = "Send another file; this one will be refused again."


class TooManyUploads(TooMany):
    """The sender has too many unfinished uploads."""

    code = "too-many-uploads"
    advice = "Finish or cancel one that was begun, then begin another."


# -- ours --


class Unforeseen(HoldfastError):
    """Something failed here that should not have."""

    code = "unforeseen"
    advice = "Try again; if it stays, tell the operator the request ID: the cause is in the log under it."


class UpstreamFailed(HoldfastError):
    """A service that this one needs has failed."""

    code = "upstream-failed"
    status = 502
    advice = "Try again in a while."


class Unavailable(HoldfastError):
    """This cannot be served at the moment."""

    code = "unavailable"
    status = 503
    advice = "Try again in a while."


class Stopping(Unavailable):
    """This server is stopping and could not finish the request in time."""

    code = "stopping"
    advice = "Send the request again: another server will take it."


class Overloaded(Unavailable):
    """More was asked of this server than it can serve. The request was not begun."""

    code = "overloaded"
    advice = "Send the request again when Retry-After has passed; nothing of it has taken effect."


class UpstreamTimeout(HoldfastError):
    """A service that this one needs did not answer in time."""

    code = "upstream-timeout"
    status = 504
    advice = "Try again in a while."


class DeadlinePassed(HoldfastError):
    """The time for this request was over before it was done."""

    code = "deadline-passed"
    status = 504
    advice = "Ask for less, or allow it more time. Unless it was a reading one, look what has become of it first."


class InsufficientStorage(HoldfastError):
    """There is no room to store this."""

    code = "insufficient-storage"
    status = 507
    advice = "Remove something, or ask the operator for more room."


# -- the operator's: they stop the start --


class SettingsInvalid(HoldfastError):
    """Settings are missing or wrong."""

    code = "settings-invalid"
    advice = "Correct what is named; `holdfast settings` shows every setting with its value and source."

    def __init__(self, faults: Sequence[str]) -> None:
        """Name all `faults` at once, a sentence each, without the value of any secret."""
        self.faults: tuple[str, ...] = tuple(faults)
        super().__init__("\n".join([self.message(), *(f"  {fault}" for fault in self.faults)]))


class AppNotFound(HoldfastError):
    """The application to serve was not found."""

    code = "app-not-found"
    advice = "Name it as module:variable, such as shop.main:app, from the folder that holds the module."


class ExtraMissing(HoldfastError):
    """A package that this needs is not installed."""

    code = "extra-missing"
    advice = "Install the extra that is named."


class ResourceError(HoldfastError):
    """A resource could not be had."""

    code = "resource-error"

    def __init__(self, what: str | None = None) -> None:
        """Say in `what` which resource it is and why: that is for the log, the caller reads the class's sentence."""
        super().__init__()
        self.what: str = what or self.detail

    def __str__(self) -> str:
        return self.what


class ResourceUnknown(ResourceError):
    """Nothing provides a resource of this type."""

    code = "resource-unknown"
    advice = "Declare a provider for the type before it is asked for."


class ResourceCycle(ResourceError):
    """Resources need each other in a circle."""

    code = "resource-cycle"
    advice = "Break the circle: give one of them what it needs by a method instead of at its making."


class ResourceFailed(ResourceError):
    """A resource could not be opened."""

    code = "resource-failed"
    status = 503
    advice = "Try again in a while; the cause is in the log under the request ID."


class ResourceNotClosed(ResourceError):
    """A resource did not close in time, so what it was to save may not be saved."""

    code = "resource-not-closed"
    advice = "Look at the present state before you send the request again."
