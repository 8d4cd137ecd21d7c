"""How often the S3 proxy asks its KMS: by its own count of the bucket keys that it did not have at hand.

The proxy of the benchmarks has a key file instead of a KMS. Each key that is not at hand is wrapped or unwrapped
by one call; requests that ask for the same key at the same time share one, so this counts rather too many than too few.
"""

import re
import urllib.request
from typing import Final

from bench.s3_load import Payload, Request, at_once
from bench.s3_targets import Target
from bench.suite import Run
from strongroom.errors import PeerError

REQUESTS: Final = 1000
_STREAMS: Final = 10  # so that all processes of the proxy are asked
_COUNTS: Final = re.compile(r'^strongroom_s3proxy_bucket_keys_total\{result="(hit|miss)"\} (\S+)$', re.MULTILINE)


def count_kms_calls(run: Run, target: Target, *, suite: str) -> None:
    """Count the calls for 1,000 requests, half of them reading: the first of a proxy, and the same once more.

    Raises:
        PeerError: the proxy does not count a key for each request; its misses would mean nothing.
    """
    payload = Payload(1 << 10)
    streams: list[list[Request]] = []
    for stream in range(_STREAMS):
        keys = [f"kms/{stream}/{number}" for number in range(REQUESTS // _STREAMS // 2)]
        streams.append([target.requests.put(key, payload) for key in keys] + [target.requests.get(key) for key in keys])
    names = ("KMS calls of the first 1,000 requests", "KMS calls per 1,000 requests")
    for name, aim in zip(names, (None, 1), strict=True):
        before = read_counts(target)
        at_once(target.url, streams)
        hits, misses = (after - earlier for after, earlier in zip(read_counts(target), before, strict=True))
        if hits + misses < REQUESTS:
            msg = f"{target.health}: counts {hits + misses:g} bucket keys in {REQUESTS} requests"
            raise PeerError(msg, hint="has strongroom_s3proxy_bucket_keys another name or meaning now?")
        run.count(f"{suite}/{name}", misses, "calls", aim=aim, noise=None if aim is None else 0.0)
    payload.close()


def read_counts(target: Target) -> tuple[float, float]:
    """Return how many bucket keys were at hand and how many were not, since the proxy started."""
    with urllib.request.urlopen(f"http://{target.health}/metrics", timeout=10) as answer:
        counts = dict(_COUNTS.findall(answer.read().decode()))
    return float(counts.get("hit", 0)), float(counts.get("miss", 0))
