"""An iterator that threads walk through, a batch at a time."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Walk(Generic[T]):
    """An iterator that is advanced by one thread at a time, and closed once by whichever is the last to need it."""

    def __init__(self, source: Iterable[T] | Callable[[], Iterable[T]], batch: int) -> None:
        """Of `source`, or of what it makes, `batch` items are taken in a step."""
        self._source = source
        self._batch = batch
        self._iterator: Iterator[T] | None = source if isinstance(source, Iterator) else None
        self._guard = threading.Lock()
        self._stepping = False
        self._left = False
        self._closed = False

    def step(self) -> tuple[list[T], Exception | None, bool]:
        """In a thread: take the next items; say what failed after them, and whether they were the last."""
        with self._guard:
            if self._left:
                return [], None, True
            self._stepping = True
        items: list[T] = []
        ended = True
        try:
            try:
                ended = self._take(items)
            finally:
                with self._guard:
                    self._stepping = False
                    self._closed = ended or self._left
                if self._closed:
                    self.close()
        except Exception as error:
            if self._left:
                raise
            return items, error, True
        return items, None, ended

    def leave(self) -> bool:
        """On the loop: want no more steps. True if the caller has to see to `close`, for nobody else will."""
        with self._guard:
            alone = not (self._left or self._stepping or self._closed)
            self._left = True
        return alone

    def close(self) -> None:
        """In a thread: close the iterator if it can be closed."""
        close = getattr(self._iterator, "close", None)
        if callable(close):
            close()

    def _take(self, items: list[T]) -> bool:
        if self._iterator is None:
            self._iterator = iter(self._source() if callable(self._source) else self._source)
        for _ in range(self._batch):
            try:
                items.append(next(self._iterator))
            except StopIteration:
                return True
        return False
