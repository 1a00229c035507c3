"""A client that costs next to nothing: one request on a connection of its own."""

import http.client
import json


def ask(port: int, path: str, *, timeout_s: float = 20) -> tuple[int, object]:
    """The status and what the body says as JSON. Raises OSError or HTTPException where no whole answer comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
