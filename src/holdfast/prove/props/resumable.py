"""Uploads that can be gone on with, as tus 1.0 has them: the requests of a client, and what it reads in the answers.

Source: the tus resumable upload protocol, version 1.0.0.
"""

import base64
from typing import Final
from urllib.parse import urlsplit

from holdfast.prove.http import Answer
from holdfast.prove.sending import Request, filled, found_in

_VERSION: Final = {"Tus-Resumable": "1.0.0"}


def creation(where: str, size: int, name: str) -> Request:
    """Asks for an upload of so many bytes at the path `where`."""
    said = base64.b64encode(name.encode()).decode()
    headers = {**_VERSION, "Upload-Length": str(size), "Upload-Metadata": f"filename {said}"}
    return Request("POST", filled(where, {"name": name}, quoted=True), headers, b"", {"name": name})


def address(answer: Answer) -> str:
    """The path of the upload that was created; empty where the answer does not name it."""
    place = urlsplit(answer.headers.get("location", ""))
    return place.path + (f"?{place.query}" if place.query else "")


def piece(path: str, offset: int, data: bytes) -> Request:
    """Sends what comes at `offset`."""
    headers = {**_VERSION, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return Request("PATCH", path, headers, data, {})


def question(path: str) -> Request:
    """Asks how far an upload is."""
    return Request("HEAD", path, _VERSION, None, {})


def options(where: str) -> Request:
    """Asks what the server can do, and how large an upload may be."""
    return Request("OPTIONS", filled(where, {}, quoted=True), _VERSION, None, {})


def largest_in(answer: Answer) -> int | None:
    """The most bytes that an upload may have; None where the server does not say."""
    said = answer.headers.get("tus-max-size", "")
    return int(said) if answer.good and said.isdigit() else None


def offset_in(answer: Answer) -> int | None:
    """How many bytes the backend says it has; None where it does not say."""
    said = answer.headers.get("upload-offset", "")
    return int(said) if answer.good and said.isdigit() else None


def ids_in(answer: Answer, path: str, where: str) -> list[str]:
    """What the file may be called that came of an upload: no standard says where that is said.

    The answer to its last piece may say, in the place `where` that plain uploads use or in a header; or the file is
    called as the upload was.
    """
    found = [found_in(answer, where) if where else ""]
    found += [value for name, value in answer.headers.items() if name.endswith("-id") and name != "x-request-id"]
    found.append(path.partition("?")[0].rstrip("/").rpartition("/")[2])
    return [each for each in dict.fromkeys(found) if each]
