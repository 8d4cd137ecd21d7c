"""s3fs, the way programs use it: nothing here knows of Strongroom. Endpoint and credentials are in the environment."""

import os
from pathlib import Path

import s3fs

from tests.s3clients.programs.lines import serve

BUCKET = os.environ["BUCKET"]
FILES = s3fs.S3FileSystem()


def version() -> str:
    return str(s3fs.__version__)


def put(key: str, file: str) -> None:
    FILES.put_file(file, f"{BUCKET}/{key}")


def get(key: str, file: str) -> None:
    FILES.get_file(f"{BUCKET}/{key}", file)


def read_range(key: str, first: int, last: int, file: str) -> None:
    with FILES.open(f"{BUCKET}/{key}", "rb") as source:
        source.seek(first)
        Path(file).write_bytes(source.read(last - first + 1))


def sizes(prefix: str) -> dict[str, int]:
    FILES.invalidate_cache()
    found = FILES.find(f"{BUCKET}/{prefix}", detail=True)
    return {name.removeprefix(f"{BUCKET}/"): entry["size"] for name, entry in found.items()}


def read_listed(prefix: str) -> dict[str, int]:
    FILES.invalidate_cache()
    names = [entry["name"] for entry in FILES.ls(f"{BUCKET}/{prefix}", detail=True)]
    found = {}
    for name in names:
        with FILES.open(name, "rb") as source:  # with the ETag that ls has kept
            found[name.removeprefix(f"{BUCKET}/")] = len(source.read())
    return found


def copy(source: str, target: str) -> None:
    FILES.cp_file(f"{BUCKET}/{source}", f"{BUCKET}/{target}")


def presign(key: str, method: str) -> str:
    url: str = FILES.sign(f"{BUCKET}/{key}", client_method={"GET": "get_object", "PUT": "put_object"}[method])
    return url


def delete(keys: list[str]) -> None:
    FILES.rm([f"{BUCKET}/{key}" for key in keys])


acts = (version, put, get, read_range, read_listed, sizes, copy, presign, delete)
serve({act.__name__: act for act in acts} | {"put_large": put})
