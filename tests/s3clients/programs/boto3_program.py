"""boto3, the way programs use it: nothing here knows of Strongroom. Endpoint and credentials are in the environment."""

import os
from pathlib import Path

import boto3

from tests.s3clients.programs.lines import serve

BUCKET = os.environ["BUCKET"]
S3 = boto3.client("s3")


def version() -> str:
    return str(boto3.__version__)


def put(key: str, file: str) -> None:
    with Path(file).open("rb") as body:
        S3.put_object(Bucket=BUCKET, Key=key, Body=body)


def put_large(key: str, file: str) -> None:
    S3.upload_file(file, BUCKET, key)


def get(key: str, file: str) -> None:
    S3.download_file(BUCKET, key, file)


def read_range(key: str, first: int, last: int, file: str) -> None:
    answer = S3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{last}")
    Path(file).write_bytes(answer["Body"].read())


def sizes(prefix: str) -> dict[str, int]:
    pages = S3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 2})
    return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}


def read_listed(prefix: str) -> dict[str, int]:
    found = {}
    for entry in S3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        answer = S3.get_object(Bucket=BUCKET, Key=entry["Key"], IfMatch=entry["ETag"])
        found[entry["Key"]] = len(answer["Body"].read())
    return found


def copy(source: str, target: str) -> None:
    S3.copy({"Bucket": BUCKET, "Key": source}, BUCKET, target)


def presign(key: str, method: str) -> str:
    operation = {"GET": "get_object", "PUT": "put_object"}[method]
    url: str = S3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key})
    return url


def delete(keys: list[str]) -> None:
    S3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})


acts = (version, put, put_large, get, read_range, read_listed, sizes, copy, presign, delete)
serve({act.__name__: act for act in acts})
