"""What can go wrong with a call that runs elsewhere.

HoldfastError                    500
  ProcessDied                    500  process-died
  NotPortable                    500  not-portable
  Unavailable                    503
    OffloadFull                  503  offload-full
"""

from holdfast.errors import HoldfastError, Unavailable


class OffloadFull(Unavailable):
    """Too many calls wait for a free thread or process already."""

    code = "offload-full"
    advice = "Try again in a while."


class _Explained(HoldfastError):
    """An error whose cause is for the log: the caller reads the class's sentence."""

    def __init__(self, what: str | None = None) -> None:
        """Say in `what` what happened, and what to do."""
        super().__init__()
        self.what: str = what or self.detail

    def __str__(self) -> str:
        return self.what


class ProcessDied(_Explained):
    """The process in which a calculation ran has died."""

    code = "process-died"
    advice = "Do not send the same again at once: it may be what the process died of. The cause is in the log."


class NotPortable(_Explained):
    """A function, or what it takes or brings, cannot be sent to another process."""

    code = "not-portable"
    advice = "Tell the operator the request ID: what has to be changed is in the log under it."
