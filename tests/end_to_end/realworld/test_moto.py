"""moto with boto3, as with `moto_server`."""

import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life
from tests.end_to_end.realworld.visit import Seen, Visitor

pytestmark = pytest.mark.soak

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto")
botocore_config = pytest.importorskip("botocore.config")

# One for all: each would read the models of its services anew. It is not safe in threads.
SESSION = boto3.session.Session("key", "secret", region_name="us-east-1")
SESSION_LOCK = threading.Lock()
PARTS = 2 * [bytes(range(256)) * 20480]  # of 5 MiB, which S3 wants them to have


def visit(visitor: Visitor) -> Iterator[Seen]:
    """S3, SQS and DynamoDB."""
    yield from store(client(visitor, "s3"), visitor.name)
    yield from send(client(visitor, "sqs"), visitor.name)
    yield from write(client(visitor, "dynamodb"), visitor.name)


def store(s3: Any, bucket: str) -> Iterator[Seen]:
    """Objects: small, in parts of it, in many parts, listed, missing."""
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/é.txt", Body=b"hello world", Metadata={"kind": "test"})
    found = s3.get_object(Bucket=bucket, Key="a/é.txt", Range="bytes=6-")
    yield Seen("range", found["ResponseMetadata"]["HTTPStatusCode"], found["Body"].read())
    yield Seen("metadata", body=str(found["Metadata"]))
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="a/")
    yield Seen("listed", body=str([(each["Key"], each["Size"]) for each in listed["Contents"]]))
    try:
        s3.get_object(Bucket=bucket, Key="nothing")
    except s3.exceptions.NoSuchKey as error:
        yield Seen("missing", error.response["ResponseMetadata"]["HTTPStatusCode"], str(error))
    address = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a/é.txt"})
    yield Seen("presigned", body=re.sub(r"\?.*|:\d+", "", address).replace(bucket, "NAME"))
    s3.delete_object(Bucket=bucket, Key="a/é.txt")
    s3.delete_bucket(Bucket=bucket)


def send(sqs: Any, name: str) -> Iterator[Seen]:
    """A queue and its messages."""
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=f"message {number}")
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    yield Seen("messages", body=str(sorted(each["Body"] for each in got)))
    sqs.delete_queue(QueueUrl=queue)


def write(dynamodb: Any, name: str) -> Iterator[Seen]:
    """A table and its items."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(3):
        item = {"id": {"N": str(number)}, "text": {"S": "é" * number}}
        dynamodb.put_item(TableName=name, Item=item)
    items = dynamodb.scan(TableName=name)["Items"]
    yield Seen("items", body=str(sorted(items, key=str)))
    dynamodb.delete_table(TableName=name)


def upload(visitor: Visitor) -> Iterator[Seen]:
    """An object that is sent in parts of 5 MiB, and read whole."""
    s3, key = client(visitor, "s3"), {"Bucket": visitor.name, "Key": "big"}
    s3.create_bucket(Bucket=visitor.name)
    number = s3.create_multipart_upload(**key)["UploadId"]
    tags = [
        s3.upload_part(**key, UploadId=number, PartNumber=part, Body=body)["ETag"]
        for part, body in enumerate(PARTS, 1)
    ]
    parts = [{"PartNumber": part, "ETag": tag} for part, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**key, UploadId=number, MultipartUpload={"Parts": parts})
    content = s3.get_object(**key)["Body"].read()
    yield Seen("parts", body=f"{len(content)} {hashlib.sha256(content).hexdigest()}")
    s3.delete_object(**key)
    s3.delete_bucket(Bucket=visitor.name)


def visit_with_upload(visitor: Visitor) -> Iterator[Seen]:
    """All of it."""
    yield from visit(visitor)
    yield from upload(visitor)


def client(visitor: Visitor, service: str) -> Any:
    """A client that does not try again, and keeps its connections if the visitor does."""
    config = botocore_config.Config(retries={"total_max_attempts": 1}, proxies={})
    with SESSION_LOCK:
        made = SESSION.client(service, endpoint_url=visitor.url, config=config)
    if not visitor.kept:

        def close(request: Any, **others: Any) -> None:
            request.headers["Connection"] = "close"

        made.meta.events.register("before-sign", close)
    return made


def subject(visit: Any) -> Subject:
    """With one worker, whose memory holds it all."""
    reference = ("-m", "moto.server", "-p", "0")
    return Subject(
        "tests.end_to_end.realworld.apps.cloud:app", reference, visit, options=("-w", "1")
    )


@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_no_client_notices_a_stop(tmp_path: Path, kind: str) -> None:
    prove_life(subject(visit), kind, tmp_path, reload=False)
