"""obstore (Rust's object_store), the way programs use it: nothing here knows of Strongroom."""

import os
from datetime import timedelta
from importlib.metadata import version as version_of
from pathlib import Path

import obstore
from obstore.store import S3Store

from tests.s3clients.programs.lines import serve

STORE = S3Store(
    os.environ["BUCKET"],
    endpoint=os.environ["AWS_ENDPOINT_URL"],
    client_options={"allow_http": True},
)
_PART_BYTES = 16 << 20


def version() -> str:
    return version_of("obstore")


def put(key: str, file: str) -> None:
    obstore.put(STORE, key, Path(file), use_multipart=False)


def put_large(key: str, file: str) -> None:
    obstore.put(STORE, key, Path(file), use_multipart=True, chunk_size=_PART_BYTES)


def get(key: str, file: str) -> None:
    with Path(file).open("wb") as target:
        target.writelines(obstore.get(STORE, key))


def read_range(key: str, first: int, last: int, file: str) -> None:
    Path(file).write_bytes(obstore.get_range(STORE, key, start=first, end=last + 1))


def read_listed(prefix: str) -> dict[str, int]:
    found = {}
    for entry in obstore.list(STORE, prefix).collect():
        key = entry["path"]
        assert obstore.head(STORE, key)["e_tag"] == entry["e_tag"]
        found[key] = len(obstore.get(STORE, key, options={"if_match": entry["e_tag"]}).bytes())
    return found


def sizes(prefix: str) -> dict[str, int]:
    return {entry["path"]: entry["size"] for entry in obstore.list(STORE, prefix).collect()}


def copy(source: str, target: str) -> None:
    obstore.copy(STORE, source, target)


def presign(key: str, method: str) -> str:
    return str(obstore.sign(STORE, method, key, timedelta(minutes=5)))


def delete(keys: list[str]) -> None:
    obstore.delete(STORE, keys)


acts = (version, put, put_large, get, read_range, read_listed, sizes, copy, presign, delete)
serve({act.__name__: act for act in acts})
