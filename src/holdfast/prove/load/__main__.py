"""`python -m holdfast.prove.load`: does the job whose JSON is the first line of stdin.

It writes two lines of JSON: when it begins, by the monotonic clock, and the result. With the argument `tied` it ends as
soon as stdin does: whoever started it and is gone needs nothing any more.
"""

import json
import os
import resource
import sys

from holdfast.prove.load.generator import Generator
from holdfast.prove.load.job import decoded
from holdfast.prove.load.offering import TIED, plain


def main(arguments: list[str]) -> None:
    """Do it."""
    job = decoded(sys.stdin.readline())
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = Generator(job, sys.stdin.fileno() if TIED in arguments else None).run(_tell)
    json.dump(plain(found), sys.stdout)


def _tell(began: float) -> None:
    sys.stdout.write(json.dumps({"began": began}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
