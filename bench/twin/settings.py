"""Settings, from the environment."""

import os
from pathlib import Path

DATA = Path(os.environ.get("TWIN_DATA", "twin-data"))
FILES = DATA / "files"
DATABASE_URL = f"sqlite:///{DATA}/twin.sqlite"
WEBHOOK_URL = os.environ.get("TWIN_WEBHOOK_URL", "")
PASSWORD = os.environ.get("TWIN_PASSWORD", "changeme")

FILES.mkdir(parents=True, exist_ok=True)
