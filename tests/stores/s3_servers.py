"""Real S3 servers, from wheels: SeaweedFS, and rclone as a second one.

rclone ignores conditions (If-None-Match), and makes empty parts where it is to copy them.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEY, SECRET = "a-key-for-tests", "a-secret-for-tests"
BUCKET = "uploads"
PATIENCE_S = 30.0
ONCE = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})


class Server(NamedTuple):
    """A server that runs."""

    url: str

    def environ(self) -> dict[str, str]:
        """What finds it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def seaweed() -> Iterator[Server]:
    """A SeaweedFS, with the bucket BUCKET."""
    ports = free_ports(10)
    s3 = ports[0]
    names = ["s3.port", "s3.port.grpc"]
    names += [f"{role}.port{kind}" for role in ("master", "filer", "volume", "admin") for kind in ("", ".grpc")]
    arguments = ["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}", "-s3.port.iceberg=0"]
    arguments += ["-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"]
    arguments += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    try:
        with _running("weed", lambda folder: [*arguments, f"-dir={folder}"], s3):
            yield Server(f"http://127.0.0.1:{s3}")
    finally:
        for port in ports:
            for path in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def rclone() -> Iterator[Server]:
    """An `rclone serve s3` on a folder, with the bucket BUCKET."""
    port = free_ports(1)[0]

    def arguments(folder: str) -> list[str]:
        (Path(folder) / BUCKET).mkdir()
        auth = ["--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}"]
        # Streaming, it would take no upload of which a part is not wanted in the end.
        return ["serve", "s3", "--disable-multipart-streaming", *auth, "--config", os.devnull, folder]

    with _running("rclone", arguments, port):
        yield Server(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def _running(name: str, arguments, port: int) -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix=f"{name}-")
    environ = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    command = [str(Path(sys.executable).parent / name), *arguments(folder)]
    log = Path(folder) / "log"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environ, cwd=folder, stdout=output, stderr=output)
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(url: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until the server has the bucket."""
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=ONCE,
    )
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        with contextlib.suppress(BotoCoreError, ClientError):
            client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace")[-2000:])
