"""A whole file in one body: a plain PUT or POST, or a form. What breaks off is not kept."""

from typing import Final

from holdfast.decide.names import kept_name, name_in
from holdfast.decide.uploads.dialect import Answer, Terms, file_headers
from holdfast.decide.uploads.digests import content_digests, whole_digests
from holdfast.decide.uploads.head import Head, content_length, media_type, not_answered, refuse_codings
from holdfast.decide.uploads.rules import Refuse
from holdfast.decide.uploads.vocabulary import Command, Create, Phase, Upload
from holdfast.errors import BadRequest, HoldfastError

FORM_TYPE: Final = "multipart/form-data"


class PlainBody:
    """The body is the file."""

    name: str = "plain"
    resumable: bool = False

    def parse(self, head: Head) -> Command | Refuse:
        """A whole file; its name is in the address, or in Content-Disposition, or nowhere."""
        try:
            _addressed(head)
            size = content_length(head)
            return Create(
                length=size,
                name=kept_name(head.name) if head.name else name_in(head.get("content-disposition")),
                media_type=media_type(head),
                digests=whole_digests(head),
                has_content=size != 0,
                ends=True,
                content_length=size,
                content_digests=content_digests(head),
            )
        except HoldfastError as error:
            return Refuse(error)

    def answer(self, command: Command, upload: Upload, terms: Terms) -> Answer:  # noqa: ARG002 - as Dialect has it
        """201 with the file's ID; 202 and where to look, if it is still being finished."""
        if upload.phase is not Phase.FINISHED:
            return Answer(202, (("location", f"{terms.base}/{upload.id}"), ("retry-after", "1")))
        return Answer(201, tuple(file_headers(upload)))

    def refusal(
        self,
        error: HoldfastError,
        upload: Upload | None,  # noqa: ARG002 - as Dialect has it
        terms: Terms,  # noqa: ARG002 - as Dialect has it
        *,
        whole: bool = False,  # noqa: ARG002 - as Dialect has it
    ) -> Answer:
        """The answer for `error`."""
        return Answer(error.status, (), error)

    def interim(self, upload: Upload, terms: Terms, *, created: bool) -> Answer | None:  # noqa: ARG002 - as Dialect has it
        """None: who sends a whole file expects none."""
        return None


class FormBody(PlainBody):
    """The body is a form with fields and files."""

    name: str = "form"

    def parse(self, head: Head) -> Command | Refuse:
        """What each file of the form begins as; its name and media type stand in the form."""
        try:
            _addressed(head)
            if content_length(head) == 0:
                raise BadRequest("The form is empty.")
            if content_digests(head) or whole_digests(head):
                raise BadRequest("A digest of a form is not checked here: leave it out, or send the file as it is.")
            return Create(length=None, has_content=True, ends=True)
        except HoldfastError as error:
            return Refuse(error)


PLAIN: Final = PlainBody()
FORM: Final = FormBody()


def _addressed(head: Head) -> None:
    if head.upload_id is not None or head.method not in {"POST", "PUT"}:
        allowed = ("POST", "PUT") if head.upload_id is None else ("HEAD", "GET", "PATCH", "DELETE")
        raise not_answered(*allowed)
    if head.get("content-range") is not None:
        raise BadRequest("A part of a file cannot be put here: use a resumable upload.")  # RFC 9110, 14.5
    refuse_codings(head)
