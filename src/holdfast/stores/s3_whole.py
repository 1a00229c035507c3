"""How an upload in S3 becomes a file, and how what is left of it goes away.

An object appears at once when its parts are put together, on the condition that none is there yet, where the server has
such conditions. Where it has none, whoever puts the same parts together twice makes the same object twice.
"""

from collections.abc import Sequence

from holdfast.stores.s3_client import Bucket, Exists, Missing, NotOffered, SentPart
from holdfast.stores.s3_numbers import Numbers
from holdfast.stores.s3_state import State


class Keys:
    """Where an upload lies below the prefix."""

    def __init__(self, upload_id: str) -> None:
        """Of this upload."""
        self.whole: str = upload_id
        self.folder: str = f"incoming/{upload_id}/"


async def put_together(bucket: Bucket, keys: Keys, state: State, tail: Sequence[bytes], numbers: Numbers) -> None:
    """Make the object of all parts and the `tail` behind them; somebody else may do so at the same time.

    Raises Missing where parts are not there, or the whole upload is not; then somebody else may have done it.
    """
    if not state.runs:
        await _made(bucket, keys, tail)
        return
    sent = {part.number: part for part in await bucket.parts(keys.whole, state.upload)}
    wanted = state.sizes()
    parts = [sent[number] for number, size in wanted.items() if number in sent and sent[number].size == size]
    if len(parts) != len(wanted):
        raise Missing
    if tail:
        number = await numbers.next()
        numbers.take()
        parts.append(await bucket.send(keys.whole, state.upload, number, list(tail)))
    await _completed(bucket, keys, state, parts)


async def _made(bucket: Bucket, keys: Keys, content: Sequence[bytes]) -> None:
    try:
        await bucket.put(keys.whole, content, new=True)
    except Exists:
        return
    except NotOffered:
        await bucket.put(keys.whole, content, new=False)


async def _completed(bucket: Bucket, keys: Keys, state: State, parts: Sequence[SentPart]) -> None:
    try:
        await bucket.complete(keys.whole, state.upload, parts, new=True)
    except Exists:
        return
    except NotOffered:
        await bucket.complete(keys.whole, state.upload, parts, new=False)


async def clear(bucket: Bucket, keys: Keys) -> None:
    """Remove everything of an upload that is not the file: side objects, notes, multipart uploads."""
    async for found in bucket.listed(keys.folder):
        await bucket.delete(found.key)
    async for begun in bucket.uploads(keys.whole):
        if begun.key == keys.whole:
            await bucket.abort(keys.whole, begun.upload)
