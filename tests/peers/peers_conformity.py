"""The conformity suite of tus-java-server, aimed at us: black-box tests of the IETF draft, run from a checkout of it.

git clone https://github.com/tomdesair/tus-java-server
make test-peers TUS_JAVA_SERVER=tus-java-server
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from uploading import serving

SOURCE = """
from holdfast import NotFound, uploads


async def who(scope):
    return "anna"


async def inner(scope, receive, send):
    raise NotFound


files = uploads.Uploads(
    blobs=uploads.blobs_at("files"), ledger=uploads.ledger_at("uploads.sqlite"), authorise=who, at="/api/uploads"
)
app = files.around(inner)
"""
CHECKOUT = os.environ.get("TUS_JAVA_SERVER", "")
SUITE = Path(CHECKOUT, "scripts", "rufh_conformity_test.py").resolve()


@pytest.mark.skipif(not CHECKOUT, reason="TUS_JAVA_SERVER names no checkout of github.com/tomdesair/tus-java-server")
@pytest.mark.timeout(200)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_conformity_suite_finds_no_fault(tmp_path, workers):
    limits = {"HOLDFAST_UPLOADS_MAX_BYTES": "1024", "HOLDFAST_UPLOADS_UNFINISHED_MAX": "1000"}
    with serving(tmp_path, SOURCE, "--workers", workers, **limits) as running:
        command = [sys.executable, "-m", "pytest", SUITE, "-c", os.devnull, "--rootdir", tmp_path]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "-q", "-rs", "--url", f"{running.url}/api/uploads"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 48, "some are skipped, for limits that we do not have; not more than that"
