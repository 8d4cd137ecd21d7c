"""How much memory the proxy takes for objects far larger than it may keep, and for many at once."""

import concurrent.futures
import re
from typing import Final

from bench.payload import Payload
from bench.processes import family, memory_bytes, watched
from bench.s3_load import Connection, Request
from bench.s3_targets import Target, upload
from bench.suite import Run
from strongroom.errors import PeerError

MAX_BYTES: Final = 250 << 20  # of all processes of the proxy together
_MIB: Final = 1 << 20
_TRIES: Final = 5
_STORE_FAILS: Final = re.compile("<Code>(SlowDown|InternalError)</Code>")
_PART_BYTES: Final = 64 * _MIB  # of the large object: sealed, 5 GiB are more than a single PUT may have


def measure_memory(run: Run, target: Target, *, suite: str) -> None:
    """Send one large object up and down, then many streams at once, and watch the proportional set size."""
    large, streams, each = (128, 16, 8) if run.quick else (5120, 64, 64)
    run.count(f"{suite}/memory/at rest", memory_bytes(family(target.pid)), "B", aim=MAX_BYTES)
    _one_large(run, target, large * _MIB, f"{suite}/memory/one object of {large:,} MiB")
    _many(run, target, streams, each * _MIB, f"{suite}/memory/{streams} streams of {each} MiB")


def _one_large(run: Run, target: Target, size: int, name: str) -> None:
    part = Payload(_PART_BYTES)
    with Connection(target.url) as connection:
        with watched(target.pid) as usage:
            upload(target, connection, "large", part, size // _PART_BYTES)
        run.count(f"{name} up", usage.peak_bytes, "B", aim=MAX_BYTES)
        with watched(target.pid) as usage:
            connection.timed(target.requests.get("large"))
        run.count(f"{name} down", usage.peak_bytes, "B", aim=MAX_BYTES)
    part.close()


def _many(run: Run, target: Target, streams: int, size: int, name: str) -> None:
    payload = Payload(size)
    ways = {
        "up": [target.requests.put(f"many-{number}", payload) for number in range(streams)],
        "down": [target.requests.get(f"many-{number}") for number in range(streams)],
    }
    for way, requests in ways.items():
        with watched(target.pid) as usage, concurrent.futures.ThreadPoolExecutor(streams) as pool:
            list(pool.map(lambda request: _patiently(target.url, request), requests))
        run.count(f"{name} {way}", usage.peak_bytes, "B", aim=MAX_BYTES)
    payload.close()


def _patiently(url: str, request: Request) -> None:
    """Send a request again when the store is overwhelmed or fails, as SDKs do: memory is what is measured here."""
    for left in reversed(range(_TRIES)):
        try:
            with Connection(url) as connection:
                connection.timed(request)
        except (PeerError, OSError) as error:
            if not left or not (isinstance(error, OSError) or _STORE_FAILS.search(str(error))):
                raise
        else:
            return
