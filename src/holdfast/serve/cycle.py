"""One request and its answer on a connection."""

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from holdfast.problems import is_logged


class Cycle(RequestResponseCycle):
    """uvicorn's cycle, which says nothing twice: what the problems layer has logged is not logged again."""

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Call the application, and close the connection where it left an answer unfinished."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._end()
        except BaseException as error:
            if not is_logged(error):
                self.logger.error("an exception left the application", exc_info=error)
            self._end()
        else:
            if not self.response_complete and not self.disconnected:
                if self.response_started:
                    self.logger.error("the application ended without completing its answer")
                self._end()
        finally:
            self.on_response = _nothing

    def _end(self) -> None:
        """Close before the answer's end, so that nobody takes it for whole."""
        if not self.response_complete:
            self.transport.close()


def _nothing() -> None:
    """The answer is over."""
