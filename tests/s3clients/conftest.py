"""Real stores, a real proxy before each, and real clients at the proxies.

SeaweedFS stands behind a proxy that speaks TLS, moto behind one that speaks plain HTTP, so that both ways of SDKs to
sign a body are seen. With ``S3CLIENTS_BARE=1`` the clients talk to the stores themselves: a cell that fails there says
something about the client, the store or the test, and nothing about the proxy.
"""

import functools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from devstack.authority import Authority
from devstack.s3proxy import ProxyProcess, S3Store
from devstack.seaweed import REGION, SeaweedServer
from tests.s3clients.client import Client
from tests.s3clients.command_lines import AwsCli, Rclone, S3cmd
from tests.s3clients.endpoint import Endpoint
from tests.s3clients.moto_server import MotoServer
from tests.s3clients.place import install
from tests.s3clients.sdks import Aiobotocore, Boto3, DuckDb, JavaScript, Obstore, S3aRules, S3fs
from tests.s3clients.stand import SMALL_BYTES, Stand

BARE = bool(os.environ.get("S3CLIENTS_BARE"))
CLIENTS = (Boto3, Aiobotocore, S3fs, AwsCli, Rclone, S3cmd, JavaScript, Obstore, DuckDb, S3aRules)
STORES = ("SeaweedFS", "moto")
BUCKET = "clients"


def _reference(url: str, access_key: str, secret_key: str, ca_file: Path | None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        verify=None if ca_file is None else str(ca_file),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def stands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stand]]:
    """What is started when it is first asked for and then stays, in whatever order pytest puts the cells."""
    install()
    with ExitStack() as stack:
        yield functools.cache(lambda store: _start(store, tmp_path_factory.mktemp("s3clients"), stack))


@pytest.fixture(params=STORES)
def stand(request: pytest.FixtureRequest, stands: Callable[[str], Stand]) -> Stand:
    return stands(request.param)


def _start(name: str, folder: Path, stack: ExitStack) -> Stand:
    store: S3Store
    if name == "SeaweedFS":
        seaweed = store = stack.enter_context(SeaweedServer(folder / "seaweed"))
        stack.callback(seaweed.kill)  # it would wait for its clients' idle connections, and nothing in it is kept
    else:
        store = stack.enter_context(MotoServer(folder / "moto.log"))
    bare = _reference(store.address, store.access_key, store.secret_key, None)
    if BARE:
        bare.create_bucket(Bucket=BUCKET)
        endpoint = Endpoint(
            store=name,
            url=store.address,
            access_key=store.access_key,
            secret_key=store.secret_key,
            bucket=BUCKET,
            ca_file=None,
        )
        return Stand(endpoint=endpoint, s3=bare, at_rest=None)
    ca_file = None
    settings = {}
    if name == "SeaweedFS":
        authority = Authority(folder / "tls")
        issued = authority.issue_server("proxy")
        ca_file = authority.ca_file
        settings = {"tls_cert_file": str(issued.cert), "tls_key_file": str(issued.key)}
    proxy = stack.enter_context(ProxyProcess(folder / "proxy", store, settings=settings))
    endpoint = Endpoint(
        store=name,
        url=proxy.url if ca_file is None else f"https://{proxy.address}",
        access_key=proxy.access_key,
        secret_key=proxy.secret_key,
        bucket=BUCKET,
        ca_file=ca_file,
    )
    s3 = _reference(endpoint.url, proxy.access_key, proxy.secret_key, ca_file)
    s3.create_bucket(Bucket=BUCKET)
    return Stand(endpoint=endpoint, s3=s3, at_rest=bare)


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Client], Endpoint], Client]]:
    with ExitStack() as stack:

        @functools.cache
        def start(kind: type[Client], endpoint: Endpoint) -> Client:
            running = kind(endpoint, tmp_path_factory.mktemp("home"))
            stack.callback(running.close)
            return running

        yield start


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.name)
def client(request: pytest.FixtureRequest, stand: Stand, clients: Callable[[type[Client], Endpoint], Client]) -> Client:
    return clients(request.param, stand.endpoint)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of several chunks."""
    return _file(tmp_path_factory, "small", SMALL_BYTES)


@pytest.fixture(scope="session")
def large_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    return functools.cache(lambda length: _file(tmp_path_factory, "large", length))


@pytest.fixture
def large(client: Client, large_files: Callable[[int], Path]) -> Path:
    """A file that the client takes apart."""
    return large_files(client.large_bytes)


def _file(tmp_path_factory: pytest.TempPathFactory, name: str, length: int) -> Path:
    file = tmp_path_factory.mktemp(name) / f"{name}.bin"
    file.write_bytes(random.Random(name).randbytes(length))  # noqa: S311 - only to be recognised
    return file
