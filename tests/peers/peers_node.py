"""tus-js-client under Node, with all three protocols that it speaks; its own specification wants a server elsewhere."""

import os
import shutil
import subprocess

import pytest
from node_packages import PEERS, SPECIFICATION, version
from uploading import shop


@pytest.mark.timeout(200)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_tus_js_client_uploads_by_every_protocol_that_it_speaks(tmp_path, workers):
    shutil.copy(SPECIFICATION / "tus.test.mjs", PEERS)
    with shop(tmp_path, "--workers", workers) as served:
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", PEERS / "tus.test.mjs"],
            env={**os.environ, "UPLOADS": served.url},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    print("tus-js-client", version("tus-js-client"), *done.stdout.splitlines()[-8:], sep="\n")
    assert done.returncode == 0, done.stdout
    assert "# pass 18\n" in done.stdout
