"""Where `make test-peers` has installed the packages of Node, and which they are."""

import json
import os
from pathlib import Path

SPECIFICATION = Path(__file__).parent / "node"
PEERS = Path(os.environ.get("PEERS", "build/peers")).resolve()
MODULES = PEERS / "node_modules"


def version(package: str) -> str:
    """The version of a package that is installed."""
    return json.loads((MODULES / package / "package.json").read_text())["version"]
