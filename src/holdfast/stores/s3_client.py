"""A bucket, spoken to by botocore in threads: the few calls that uploads need, and errors that say what to do.

Credentials, region and endpoint come from where the AWS tools have them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION, AWS_ENDPOINT_URL, profiles, roles. What may pass is tried again: lost connections, 500, 503, SlowDown, an
answer that does not come. The waits between grow, are of random length and at most 20 seconds long, and botocore keeps
a budget of such tries for all calls together.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO, Any, Final, NamedTuple, Protocol, TypeVar, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader

from holdfast.errors import HoldfastError, InsufficientStorage, Unavailable

T = TypeVar("T")

_LOG = logging.getLogger("holdfast.uploads")
_PIECE: Final = 1 << 20
_GONE: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_THERE: Final = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})
_NO_ROOM: Final = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
_NOT_OFFERED: Final = frozenset({"501", "NotImplemented"})
_BEHIND: Final = frozenset({"416", "InvalidRange"})
_NEW: Final = {"IfNoneMatch": "*"}
_DESCRIPTIONS: Final = Loader()
"""What S3 offers, read once: that takes a tenth of a second."""


class Missing(Exception):
    """The object, or the multipart upload, is not there."""


class Exists(Exception):
    """An object is there already."""


class NotOffered(Exception):
    """This server does not have that."""


class _Behind(Exception):
    """There are no bytes where some were asked for."""


class Times(NamedTuple):
    """How long a server is waited for, and how often it is asked."""

    connect_s: float = 5.0
    answer_s: float = 20.0
    """For an answer; for what a server has to work on, such as putting a file together, ten times as long."""
    tries: int = 5


class SentPart(NamedTuple):
    """A part of a multipart upload, as the server has it."""

    number: int
    etag: str
    size: int


class Listed(NamedTuple):
    """An object."""

    key: str
    changed: float
    """In seconds since the epoch."""


class Begun(NamedTuple):
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload: str
    begun: float
    """In seconds since the epoch."""


class _Calls(Protocol):
    """What is used of botocore's client, which has no types of its own."""

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]: ...


class Bucket:
    """The objects of a bucket below a prefix. Keys are relative to it.

    Every method raises Unavailable where the server cannot be reached, refuses or fails, and InsufficientStorage where
    it has no room. A call that is cancelled goes on to its end in its thread.
    """

    def __init__(self, bucket: str, prefix: str, times: Times, threads: int) -> None:
        """At most `threads` calls run at the same time."""
        self._bucket = bucket
        self._prefix = prefix
        self._times = times
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "holdfast-s3")
        self._quick: _Calls | None = None
        self._patient: _Calls | None = None

    def close(self) -> None:
        """Let the threads end as soon as they are idle."""
        self._pool.shutdown(wait=False)

    # -- objects --

    async def put(self, key: str, pieces: Sequence[bytes], *, new: bool) -> None:
        """Write an object. Raises Exists if it is to be `new` and is not, as far as the server looks."""
        await self._called("put_object", key, {"Body": lambda: b"".join(pieces), **(_NEW if new else {})})

    async def size(self, key: str) -> int | None:
        """How large an object is; None if there is none."""
        try:
            return int((await self._called("head_object", key))["ContentLength"])
        except Missing:
            return None

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Read an object, or a part of it. Raises Missing. If the connection is lost it goes on where it was."""
        failures = 0
        while end is None or start < end:
            body: IO[bytes] | None = None
            try:
                body = await self._open(key, start, end)
                while piece := await self._in_thread(partial(body.read, _PIECE)):
                    start += len(piece)
                    failures = 0
                    yield piece
                end = start
            except _Behind:
                end = start
            except Unavailable:
                failures += 1
                if body is None or failures >= self._times.tries:
                    raise
            finally:
                if body is not None:
                    body.close()

    async def _open(self, key: str, start: int, end: int | None) -> IO[bytes]:
        span = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        return cast("IO[bytes]", (await self._called("get_object", key, span))["Body"])

    async def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        try:
            await self._called("delete_object", key)
        except Missing:
            return

    async def listed(self, prefix: str) -> AsyncGenerator[Listed]:
        """The objects whose keys begin with `prefix`."""
        more: dict[str, str] = {}
        while True:
            answer = await self._called("list_objects_v2", None, {"Prefix": self._prefix + prefix, **more})
            for found in answer.get("Contents", ()):
                yield Listed(found["Key"].removeprefix(self._prefix), found["LastModified"].timestamp())
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    # -- multipart uploads --

    async def begin(self, key: str) -> str:
        """Begin a multipart upload; its ID."""
        return str((await self._called("create_multipart_upload", key))["UploadId"])

    async def send(self, key: str, upload: str, number: int, pieces: list[bytes]) -> SentPart:
        """Send a part, and take the `pieces` out of their list. Raises Missing if the upload is not there any more."""
        size = sum(map(len, pieces))
        asked = {"UploadId": upload, "PartNumber": number, "Body": lambda: _taken(pieces)}
        answer = await self._called("upload_part", key, asked)
        return SentPart(number, str(answer["ETag"]), size)

    async def copy(self, key: str, upload: str, number: int, source: str, start: int, end: int) -> None:
        """Make a part of the bytes of another object. Raises Missing, NotOffered."""
        asked = {
            "UploadId": upload,
            "PartNumber": number,
            "CopySource": {"Bucket": self._bucket, "Key": self._prefix + source},
            "CopySourceRange": f"bytes={start}-{end - 1}",
        }
        answer = await self._called("upload_part_copy", key, asked, patient=True)
        if not answer.get("CopyPartResult", {}).get("ETag"):
            raise NotOffered("parts made of other objects")  # there are servers that make an empty one of it

    async def parts(self, key: str, upload: str, most: int | None = None) -> list[SentPart]:
        """The parts that the server has, or the first of them, `most` at most. Raises Missing."""
        found: list[SentPart] = []
        asked: dict[str, object] = {"UploadId": upload, "MaxParts": most or 1000}
        while True:
            answer = await self._called("list_parts", key, asked)
            listed = answer.get("Parts", ())
            found += [SentPart(int(part["PartNumber"]), str(part["ETag"]), int(part["Size"])) for part in listed]
            if most or not answer.get("IsTruncated"):
                return found
            asked["PartNumberMarker"] = answer["NextPartNumberMarker"]

    async def complete(self, key: str, upload: str, parts: Sequence[SentPart], *, new: bool) -> None:
        """Make an object of parts. Raises Missing, NotOffered, and Exists if it is to be `new` and is not."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        asked = {"UploadId": upload, "MultipartUpload": {"Parts": listed}, **(_NEW if new else {})}
        await self._called("complete_multipart_upload", key, asked, patient=True)

    async def abort(self, key: str, upload: str) -> None:
        """Throw a multipart upload away, if it is there."""
        try:
            await self._called("abort_multipart_upload", key, {"UploadId": upload})
        except Missing:
            return

    async def uploads(self, prefix: str) -> AsyncGenerator[Begun]:
        """The multipart uploads whose keys begin with `prefix`."""
        more: dict[str, str] = {}
        while True:
            try:
                answer = await self._called("list_multipart_uploads", None, {"Prefix": self._prefix + prefix, **more})
            except Missing:  # so says a server that has none at all
                return
            for found in answer.get("Uploads", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield Begun(key, found["UploadId"], found["Initiated"].timestamp())
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    # -- the calls --

    async def _called(
        self, call: str, key: str | None, asked: Mapping[str, object] | None = None, *, patient: bool = False
    ) -> Mapping[str, Any]:
        arguments = {"Bucket": self._bucket, **(asked or {})}
        if key is not None:
            arguments["Key"] = self._prefix + key
        return await self._in_thread(lambda: self._answer(call, arguments, patient=patient), call)

    async def _in_thread(self, work: Callable[[], T], call: str = "read") -> T:
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(_heard)
        try:
            return await asyncio.shield(future)
        except ClientError as error:
            raise _meaning(call, error) from error
        except (BotoCoreError, OSError) as error:
            _LOG.warning("S3 did not answer", extra={"call": call, "error": type(error).__name__})
            raise Unavailable(headers={"retry-after": "5"}) from error

    def _answer(self, call: str, arguments: dict[str, object], *, patient: bool) -> Mapping[str, Any]:
        """In a thread: ask the server."""
        body = arguments.get("Body")
        if callable(body):
            arguments["Body"] = body()
        return getattr(self._client(patient=patient), call)(**arguments)

    def _client(self, *, patient: bool) -> _Calls:
        found = self._patient if patient else self._quick
        if found is None:
            found = _connected(self._times, self._threads, patient=patient)
            if patient:
                self._patient = found
            else:
                self._quick = found
        return found


def _connected(times: Times, threads: int, *, patient: bool) -> _Calls:
    config = Config(
        connect_timeout=times.connect_s,
        read_timeout=times.answer_s * (10 if patient else 1),
        retries={"mode": "standard", "total_max_attempts": times.tries},
        max_pool_connections=4 * threads,  # whoever reads keeps one between two calls
        tcp_keepalive=True,
        response_checksum_validation="when_required",  # some servers answer a range with the checksum of the whole
    )
    session = cast("Any", botocore.session).get_session()
    session.register_component("data_loader", _DESCRIPTIONS)
    return cast("_Calls", session.create_client("s3", config=config))


def _meaning(call: str, error: ClientError) -> Exception:
    answer = cast("dict[str, Any]", error.response)
    code = str(answer.get("Error", {}).get("Code", ""))
    status = str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    for codes, kind in ((_GONE, Missing), (_THERE, Exists), (_NOT_OFFERED, NotOffered), (_BEHIND, _Behind)):
        if code in codes or (not code and status in codes):
            return kind(code)
    meaning: HoldfastError = Unavailable(headers={"retry-after": "5"})
    if code in _NO_ROOM or status == "507":
        meaning = InsufficientStorage()
    _LOG.warning("S3 refused", extra={"call": call, "code": code, "status": status})
    return meaning


def _taken(pieces: list[bytes]) -> bytes:
    joined = b"".join(pieces)
    pieces.clear()  # or a part would be in memory twice while it is sent
    return joined


def _heard(future: "asyncio.Future[T]") -> None:
    if not future.cancelled():
        future.exception()
