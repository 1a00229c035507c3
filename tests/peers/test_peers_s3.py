"""What an upload published to S3 is read by S3's own client, boto3, as by anybody else."""

import secrets
from collections.abc import Iterator

import boto3
import httpx2
import pytest
from stores import s3_servers
from uploading import TUS, noise, sha256, shop

FOLDER = secrets.token_hex(4)


@pytest.fixture(scope="module")
def seaweed() -> Iterator[s3_servers.Server]:
    with s3_servers.seaweed() as server:
        yield server


@pytest.fixture
def bucket(seaweed) -> Iterator:
    client = boto3.client(
        "s3",
        endpoint_url=seaweed.url,
        region_name="us-east-1",
        aws_access_key_id=s3_servers.KEY,
        aws_secret_access_key=s3_servers.SECRET,
    )
    yield client
    client.close()


def test_boto3_reads_what_tus_and_put_have_uploaded(tmp_path, seaweed, bucket):
    large, small = noise(13_000_000, 70), noise(10, 71)
    with shop(tmp_path, BLOBS=f"s3://{s3_servers.BUCKET}/{FOLDER}", **seaweed.environ()) as served:
        url = served.url
        begun = httpx2.post(url, headers={**TUS, "Upload-Length": str(len(large))}, timeout=20)
        offset = 0
        patch = {**TUS, "Content-Type": "application/offset+octet-stream"}
        while offset < len(large):
            told = {**patch, "Upload-Offset": str(offset)}
            piece = large[offset : offset + 6_000_000]
            sent = httpx2.patch(begun.headers["location"], headers=told, content=piece, timeout=30)
            assert sent.status_code == 204, sent.text
            offset = int(sent.headers["upload-offset"])
        put = httpx2.put(url, headers={"X-User": "anna"}, content=small, timeout=20)
        assert put.status_code == 201, put.text
    ids = [answer.headers["holdfast-file-id"].removeprefix("file-") for answer in (sent, put)]
    for upload_id, content in zip(ids, (large, small), strict=True):
        found = bucket.get_object(Bucket=s3_servers.BUCKET, Key=f"{FOLDER}/{upload_id}")["Body"].read()
        assert sha256(found) == sha256(content)
    listed = bucket.list_objects_v2(Bucket=s3_servers.BUCKET, Prefix=f"{FOLDER}/")["Contents"]
    assert {entry["Key"]: entry["Size"] for entry in listed} == {
        f"{FOLDER}/{ids[0]}": len(large),
        f"{FOLDER}/{ids[1]}": len(small),
    }
    assert bucket.list_multipart_uploads(Bucket=s3_servers.BUCKET, Prefix=f"{FOLDER}/").get("Uploads", []) == []
