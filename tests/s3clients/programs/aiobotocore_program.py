"""aiobotocore, the way programs use it: nothing here knows of Strongroom."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiobotocore
from aiobotocore.session import get_session

from tests.s3clients.programs.lines import Do, serve

BUCKET = os.environ["BUCKET"]
PART_BYTES = 16 << 20
S3 = Any  # made at run time


async def version(_: S3) -> str:
    return str(aiobotocore.__version__)


async def put(s3: S3, key: str, file: str) -> None:
    with Path(file).open("rb") as body:  # noqa: ASYNC230 - as people write it
        await s3.put_object(Bucket=BUCKET, Key=key, Body=body)


async def put_large(s3: S3, key: str, file: str) -> None:
    upload = (await s3.create_multipart_upload(Bucket=BUCKET, Key=key))["UploadId"]
    data = memoryview(Path(file).read_bytes())  # noqa: ASYNC240 - as people write it

    async def part(number: int, begin: int) -> dict[str, Any]:
        answer = await s3.upload_part(
            Bucket=BUCKET,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            Body=bytes(data[begin : begin + PART_BYTES]),
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    begins = enumerate(range(0, len(data), PART_BYTES), start=1)
    parts = await asyncio.gather(*(part(number, begin) for number, begin in begins))
    await s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


async def get(s3: S3, key: str, file: str) -> None:
    answer = await s3.get_object(Bucket=BUCKET, Key=key)
    with Path(file).open("wb") as target:  # noqa: ASYNC230 - as people write it
        async for data in answer["Body"].iter_chunks():
            target.write(data)


async def read_range(s3: S3, key: str, first: int, last: int, file: str) -> None:
    answer = await s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{last}")
    Path(file).write_bytes(await answer["Body"].read())  # noqa: ASYNC240 - as people write it


async def sizes(s3: S3, prefix: str) -> dict[str, int]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 2})
    return {entry["Key"]: entry["Size"] async for page in pages for entry in page.get("Contents", ())}


async def read_listed(s3: S3, prefix: str) -> dict[str, int]:
    found = {}
    for entry in (await s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix))["Contents"]:
        answer = await s3.get_object(Bucket=BUCKET, Key=entry["Key"], IfMatch=entry["ETag"])
        found[entry["Key"]] = len(await answer["Body"].read())
    return found


async def copy(s3: S3, source: str, target: str) -> None:
    await s3.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": source})


async def presign(s3: S3, key: str, method: str) -> str:
    operation = {"GET": "get_object", "PUT": "put_object"}[method]
    url: str = await s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key})
    return url


async def delete(s3: S3, keys: list[str]) -> None:
    await s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})


def main() -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        s3 = runner.run(stack.enter_async_context(get_session().create_client("s3")))

        def operation(act: Callable[..., Awaitable[Any]]) -> Do:
            async def run(**arguments: Any) -> Any:
                return await act(s3, **arguments)

            return lambda **arguments: runner.run(run(**arguments))

        acts = (version, put, put_large, get, read_range, read_listed, sizes, copy, presign, delete)
        serve({act.__name__: operation(act) for act in acts})
        runner.run(stack.aclose())


main()
