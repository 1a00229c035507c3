"""Uploads by curl alone, with the commands that the documentation shows, resumed after it was interrupted."""

import shutil
import subprocess
from pathlib import Path

import pytest
from uploading import Shop, noise, shop, until

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
TUS = ("-H", "Tus-Resumable: 1.0.0")
IETF = ("-H", "Upload-Draft-Interop-Version: 8")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with shop(tmp_path_factory.mktemp("curl")) as running:
        yield running


@pytest.fixture
def file(tmp_path) -> Path:
    """What is uploaded."""
    path = tmp_path / "x.bin"
    path.write_bytes(noise(3_000_000, 60))
    return path


def curl(*arguments: object, code: int = 0) -> str:
    """Run it; the answer's head in lower case, and its body."""
    command = ["curl", "-sS", "-i", "-H", "X-User: anna", "-H", "Expect:", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.lower()


def field(answer: str, name: str) -> str:
    """The last header of this name: before it, there may be interim answers."""
    return answer.rpartition(f"\n{name}: ")[2].partition("\n")[0]


def rest(file: Path, offset: str) -> Path:
    """The file without its first bytes, as `tail -c +N` gives it."""
    path = file.with_suffix(".rest")
    with path.open("wb") as out:
        subprocess.run(["tail", "-c", f"+{int(offset) + 1}", file], stdout=out, check=True)
    return path


def test_curl_resumes_a_tus_upload_after_it_was_interrupted(served: Shop, file: Path):
    size = file.stat().st_size
    location = field(curl(*TUS, "-H", f"Upload-Length: {size}", "-X", "POST", served.url), "location")
    patch = (*TUS, "-H", "Content-Type: application/offset+octet-stream", "-X", "PATCH")
    slow = ("--limit-rate", "1000k", "--max-time", "0.6")
    curl(*patch, *slow, "-H", "Upload-Offset: 0", "--data-binary", f"@{file}", location, code=28)
    until(lambda: field(curl("-I", *TUS, location), "upload-offset") != "0", "what arrived is kept")
    offset = field(curl("-I", *TUS, location), "upload-offset")
    done = curl(*patch, "-H", f"Upload-Offset: {offset}", "--data-binary", f"@{rest(file, offset)}", location)
    assert 0 < int(offset) < size
    assert served.content(field(done, "holdfast-file-id")) == file.read_bytes()


def test_curl_resumes_an_upload_of_the_ietf_draft_by_the_address_of_the_interim_answer(served: Shop, file: Path):
    size = file.stat().st_size
    slow = ("--limit-rate", "1000k", "--max-time", "0.6")
    begun = curl(
        *IETF, *slow, "-H", "Upload-Complete: ?1", "-X", "POST", "--data-binary", f"@{file}", served.url, code=28
    )
    assert begun.startswith("http/1.1 104"), begun
    location = f"{served.url}/{field(begun, 'location').rpartition('/')[2]}"
    until(lambda: field(curl("-I", *IETF, location), "upload-offset") != "0", "what arrived is kept")
    offset = field(curl("-I", *IETF, location), "upload-offset")
    more = (*IETF, "-H", "Upload-Complete: ?1", "-H", "Content-Type: application/partial-upload", "-X", "PATCH")
    done = curl(*more, "-H", f"Upload-Offset: {offset}", "--data-binary", f"@{rest(file, offset)}", location)
    assert 0 < int(offset) < size
    assert served.content(field(done, "holdfast-file-id")) == file.read_bytes()


def test_curl_sends_a_form(served: Shop, file: Path):
    done = curl("-F", "note=a field before", "-F", f"file=@{file}", served.url)
    assert served.content(field(done, "holdfast-file-id")) == file.read_bytes()
