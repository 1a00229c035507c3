"""The depot's own errors, beside those that Holdfast offers.

Forbidden             403
  ForeignRequest      403  foreign-request
Unauthorised          401
  SignInNeeded        401  sign-in-needed

As with Holdfast's, the docstring is the message, and `advice` says what the caller can do.
"""

from holdfast import Forbidden, Unauthorised


class ForeignRequest(Forbidden):
    """The request does not come from a page of this depot that is still valid."""

    code = "foreign-request"
    advice = "Go back, load the page again, and repeat what you did there."


class SignInNeeded(Unauthorised):
    """This page is for people who are signed in."""

    code = "sign-in-needed"
    advice = "Sign in at /sign-in."

    def __init__(self, then: str) -> None:
        """`then` is the local path to show after signing in."""
        super().__init__()
        self.then = then
