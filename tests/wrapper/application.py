"""What a launch with one secret is given, and what its application prints."""

from collections.abc import Mapping

CANARY = b"canary-Gh51xQ"
SECRET = {"SECRET": "bao:kv/db#key"}


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


def environment_of(output: bytes) -> dict[bytes, bytes]:
    """What ``env -0`` prints."""
    return dict(pair.split(b"=", 1) for pair in output.split(b"\0") if pair)


Serving = tuple[str, Mapping[str, str]]
