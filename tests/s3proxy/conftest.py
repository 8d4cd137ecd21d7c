"""One real store and one proxy in front of it, and boto3 clients of both."""

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from tests.support.s3.multipart import SYSTEM_BUCKET, kept_copies

S3 = Any  # botocore makes its clients at run time


def client_of(url: str, access_key: str, secret_key: str, **options: Any) -> S3:
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=30, **options)
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        config=config,
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    with SeaweedServer(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[ProxyProcess]:
    with ProxyProcess(tmp_path_factory.mktemp("s3proxy"), store) as running:
        yield running


@pytest.fixture(scope="session")
def bare(store: SeaweedServer) -> Iterator[S3]:
    with contextlib.closing(client_of(store.address, store.access_key, store.secret_key)) as client:
        yield client


@pytest.fixture(scope="session")
def s3(proxy: ProxyProcess) -> Iterator[S3]:
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client:
        yield client


@pytest.fixture(scope="session")
def bucket(s3: S3) -> str:
    s3.create_bucket(Bucket="sealed")
    return "sealed"


@pytest.fixture
def no_kept_copies(bare: S3) -> None:
    """Remove the copies of small parts that uploads of other tests have left unfinished."""
    for key in kept_copies(bare):
        bare.delete_object(Bucket=SYSTEM_BUCKET, Key=key)
