"""Which S3 client: parts of multipart uploads sent in parallel to a real server, with each client side by side.

    python bench/s3_clients.py                        what is installed here, against a SeaweedFS that it starts
    python bench/s3_clients.py --python VENV/bin/python   with the packages of another environment

Contenders: boto3 in threads, aiobotocore, minio's client in threads (its calls for single parts are private), and
obstore, which offers no upload by ID and so sends objects of the same size: the floor that native code sets. Each runs
in a process of its own, in turn, for several rounds; shown are medians. CPU is the client process's own, with all its
threads; "late" is how much later than asked the event loop woke up meanwhile, every 5 ms.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

PART: Final = 8 << 20
BUCKET: Final = "bench"
KEY, SECRET, REGION = "benchkey", "benchsecret", "us-east-1"
ACCESS: Final = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
PACKAGES: Final = {"boto3": "boto3", "aiobotocore": "aiobotocore", "minio": "minio", "obstore": "obstore"}
Send = Callable[[int, bytes], Awaitable[object]]


# -- the contenders: each opens an upload and says how one part is sent --


@contextlib.asynccontextmanager
async def with_boto3(url: str, at_once: int) -> AsyncGenerator[Send]:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", endpoint_url=url, config=Config(max_pool_connections=at_once), **ACCESS)
    name = uuid.uuid4().hex
    upload = client.create_multipart_upload(Bucket=BUCKET, Key=name)["UploadId"]
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(at_once) as threads:

        def part(number: int, body: bytes) -> object:
            return client.upload_part(Bucket=BUCKET, Key=name, UploadId=upload, PartNumber=number, Body=body)

        yield lambda number, body: loop.run_in_executor(threads, part, number, body)
        client.abort_multipart_upload(Bucket=BUCKET, Key=name, UploadId=upload)


@contextlib.asynccontextmanager
async def with_aiobotocore(url: str, at_once: int) -> AsyncGenerator[Send]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(max_pool_connections=at_once)
    async with get_session().create_client("s3", endpoint_url=url, config=config, **ACCESS) as client:
        name = uuid.uuid4().hex
        upload = (await client.create_multipart_upload(Bucket=BUCKET, Key=name))["UploadId"]
        yield lambda number, body: client.upload_part(
            Bucket=BUCKET, Key=name, UploadId=upload, PartNumber=number, Body=body
        )
        await client.abort_multipart_upload(Bucket=BUCKET, Key=name, UploadId=upload)


@contextlib.asynccontextmanager
async def with_minio(url: str, at_once: int) -> AsyncGenerator[Send]:
    import urllib3
    from minio import Minio

    pool = urllib3.PoolManager(maxsize=at_once)
    client: Any = Minio(url.removeprefix("http://"), KEY, SECRET, secure=False, region=REGION, http_client=pool)
    name = uuid.uuid4().hex
    upload = client._create_multipart_upload(BUCKET, name, {})
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(at_once) as threads:
        yield lambda number, body: loop.run_in_executor(
            threads, client._upload_part, BUCKET, name, body, None, upload, number
        )
        client._abort_multipart_upload(BUCKET, name, upload)


@contextlib.asynccontextmanager
async def with_obstore(url: str, _at_once: int) -> AsyncGenerator[Send]:
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=url,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region=REGION,
        client_options={"allow_http": True},
    )
    name = uuid.uuid4().hex
    yield lambda number, body: obstore.put_async(store, f"{name}/{number}", body, use_multipart=False)
    for number in range(1, 10_000):
        try:
            await obstore.delete_async(store, f"{name}/{number}")
        except FileNotFoundError:
            break
        if number >= 256:
            break


CONTENDERS: Final = {
    "boto3": with_boto3,
    "aiobotocore": with_aiobotocore,
    "minio": with_minio,
    "obstore": with_obstore,
}


# -- one turn of one contender, in a process of its own --


async def turn(name: str, url: str, at_once: int, parts: int) -> dict[str, float]:
    """Send `parts` parts, `at_once` at the same time."""
    bodies = [os.urandom(PART) for _ in range(2)]
    async with CONTENDERS[name](url, at_once) as send:
        await send(1, bodies[0])
        late: list[float] = []
        watch = asyncio.create_task(lateness(late))
        room = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with room:
                await send(number, bodies[number % 2])

        cpu, start = time.process_time(), time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(2, parts + 2)))
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        watch.cancel()
    size = parts * PART / (1 << 20)
    return {
        "MiB/s": size / took,
        "CPU s/GiB": cpu / size * 1024,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "late p99 ms": statistics.quantiles(late, n=100)[98] * 1000 if len(late) > 1 else 0.0,
    }


async def lateness(into: list[float]) -> None:
    """How much later than asked the loop wakes up."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        into.append(time.perf_counter() - before - 0.005)


# -- the server, and the table --


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def seaweed() -> Generator[str]:
    """A SeaweedFS of its own; yields its address."""
    binary = Path(sys.executable).parent / "weed"
    folder = tempfile.mkdtemp(prefix="bench-s3-")
    roles = ("s3", "master", "volume", "filer", "admin")
    ports = {f"-{role}.port{kind}": free_port() for role in roles for kind in ("", ".grpc")}
    port = ports["-s3.port"]
    command = [str(binary), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"]
    command += [f"{name}={number}" for name, number in ports.items()]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"]
    environ = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            for number in ports.values():
                for path in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{number}.sock"):
                    path.unlink(missing_ok=True)


def wait_for(url: str) -> None:
    """Wait until the server answers: it wants credentials. Then let it make the bucket."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{url}/{BUCKET}", timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            time.sleep(1)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def measured(python: str, name: str, url: str, at_once: int, parts: int) -> dict[str, float]:
    """One turn, in a process of its own."""
    command = [python, __file__, "--turn", name, "--url", url, "--at-once", str(at_once), "--parts", str(parts)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def installed(python: str) -> list[str]:
    """Which of the contenders that environment has."""
    code = f"import importlib.util as u; print(*[n for n, p in {PACKAGES!r}.items() if u.find_spec(p)])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", default=sys.executable, help="the interpreter whose packages are measured")
    options.add_argument("--at-once", type=int, action="append", help="parts at the same time; may be given twice")
    options.add_argument("--parts", type=int, default=64, help="parts of 8 MiB in one turn")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--turn", help=argparse.SUPPRESS)
    options.add_argument("--url", help=argparse.SUPPRESS)
    said = options.parse_args()
    if said.turn:
        print(json.dumps(asyncio.run(turn(said.turn, said.url, said.at_once[0], said.parts))), flush=True)
        os._exit(0)  # obstore's threads may crash a process that ends in the usual way
    names = installed(said.python)
    with seaweed() as url:
        for at_once in said.at_once or [1, 4, 16]:
            rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
            for _ in range(said.rounds):
                for name in names:
                    rows[name].append(measured(said.python, name, url, at_once, said.parts))
            print(
                f"\n{said.parts} parts of 8 MiB, {at_once} at a time, medians of {said.rounds} rounds (least, greatest)"
            )
            for name, found in rows.items():
                print(f"  {name:12}", "  ".join(f"{column} {spread(found, column)}" for column in found[0]))


def spread(found: list[dict[str, float]], column: str) -> str:
    """Median, and least and greatest."""
    values = [row[column] for row in found]
    return f"{statistics.median(values):7.1f} ({min(values):.1f}, {max(values):.1f})"


if __name__ == "__main__":
    main()
