"""The S3 API as botocore's model tells it: an example request for each operation, and the headers that there are."""

import gzip
import json
from pathlib import Path
from typing import Any

import botocore

from s3proxy.s3api.head import RequestHead, make_head

# Not S3's own endpoint: S3 Express and Object Lambda have hosts of their own.
_FOREIGN = {"ListDirectoryBuckets", "WriteGetObjectResponse"}
# Names that botocore keeps for what is called otherwise now; the requests are the same.
_RENAMED = {"GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification", "PutBucketNotification"}


def _api_operations() -> dict[str, Any]:
    folder = Path(botocore.__file__).parent / "data" / "s3" / "2006-03-01"
    model = json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))
    return {name: model["operations"][name] | {"shapes": model["shapes"]} for name in model["operations"]}


API = {name: model for name, model in _api_operations().items() if name not in _FOREIGN | _RENAMED}


def example_of(name: str) -> RequestHead:
    """Build a request for an operation from botocore's model: its path, constant query and required members."""
    model = API[name]
    target = model["http"]["requestUri"].replace("{Bucket}", "bucket").replace("{Key+}", "a/key")
    headers = []
    for member in _shape_of(model).get("required", []):
        where = _shape_of(model)["members"][member]
        if where.get("location") == "querystring":
            target += ("&" if "?" in target else "?") + where["locationName"] + "=1"
        elif where.get("location") == "header":
            headers.append((where["locationName"], "bucket/source"))
    return make_head(model["http"]["method"], target, headers)


def amz_headers() -> list[str]:
    """Return the ``x-amz-*`` headers of all requests of the API, in lower case."""
    members = (member for model in API.values() for member in _shape_of(model).get("members", {}).values())
    names = {member["locationName"].lower() for member in members if member.get("location") == "header"}
    return sorted(name for name in names if name.startswith("x-amz-"))


def _shape_of(model: dict[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = model["shapes"].get(model.get("input", {}).get("shape"), {})
    return shape
