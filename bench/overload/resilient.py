"""The application behind aioresilience's load shedder, as its documentation sets it up."""

import logging
import os
from typing import Any

from aioresilience import BasicLoadShedder, LoadSheddingConfig
from aioresilience.integrations.fastapi import LoadSheddingMiddleware
from app import app as bare

logging.disable(logging.WARNING)  # it would write two lines for each refusal
LIMIT = int(os.environ.get("BENCH_LIMIT", "64"))
shedder = BasicLoadShedder(LoadSheddingConfig(max_requests=LIMIT, max_queue_depth=LIMIT))
app: Any = LoadSheddingMiddleware(bare, load_shedder=shedder)
