"""Logs through `holdfast run`, where the application configures logging itself."""

import httpx2
import pytest
from running import serving

CONFIGURES = """
    import logging
    import logging.config
    import sys

    def configure():
        {how}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            {started}
            await send({{"type": "lifespan.startup.complete"}})
            await receive()
            await send({{"type": "lifespan.shutdown.complete"}})
            return
        logging.getLogger("shop").warning("tea is sold, password=hunter2")
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"ok"}})

    {imported}
"""
WAYS = {
    "a dictionary, which switches other loggers off": """logging.config.dictConfig({
            "version": 1,
            "formatters": {"plain": {"format": "PLAIN %(message)s"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"}},
            "loggers": {"shop": {"handlers": ["out"], "propagate": False}},
            "root": {"handlers": ["out"], "level": "ERROR"},
        })""",
    "force": 'logging.basicConfig(format="PLAIN %(message)s", level="ERROR", force=True)',
    "a queue": """from logging.handlers import QueueHandler, QueueListener
        from queue import Queue
        handler = QueueHandler(Queue())
        handler.listener = QueueListener(handler.queue, logging.StreamHandler())
        handler.listener.start()
        logging.root.handlers[:] = [handler]
        logging.getLogger("shop").addHandler(logging.StreamHandler(sys.stdout))""",
}


@pytest.mark.parametrize("when", ["imported", "started"])
@pytest.mark.parametrize("way", WAYS)
def test_lines_stay_json_redacted_and_with_an_id(tmp_path, way, when):
    at = {"imported": "", "started": "", when: "configure()"}
    with serving(tmp_path, CONFIGURES.format(how=WAYS[way], **at)) as running:
        request_id = httpx2.get(running.url).headers["x-request-id"]
        running.request_line(request_id)
        (told,) = [line for line in running.lines if "tea is sold" in line["event"]]
        assert (told["request_id"], told["logger"]) == (request_id, "shop")
    said = running.output + running.errors
    assert [line for line in said if not line.startswith("{")] == []
    assert "hunter2" not in "".join(said)


def test_a_handler_that_writes_to_a_file_stays(tmp_path):
    to_a_file = 'logging.getLogger("shop").addHandler(logging.FileHandler("shop.log"))'
    with serving(tmp_path, CONFIGURES.format(how=to_a_file, imported="configure()", started="")) as running:
        running.request_line(httpx2.get(running.url).headers["x-request-id"])
        assert "tea is sold" in (tmp_path / "shop.log").read_text()
        assert len([line for line in running.lines if "tea is sold" in line["event"]]) == 1
