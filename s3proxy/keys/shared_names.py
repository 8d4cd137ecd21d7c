"""Which bucket keys the processes of one proxy use, told to each other; each unwraps them for itself.

A worker that has not met a key could not open anything under it during an outage, though the others can. So each
writes the names of its keys, with what they are unwrapped from, to a file of its own in the private directory of their
parent, and reads those of the others. What stands there is in the header of every object: no key, and nothing that
opens one without the KMS.
"""

import base64
import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from s3proxy.keys.bucket_keys import Seal
from s3proxy.keys.opened_keys import KeyName


@dataclass(frozen=True)
class Told:
    """What a process tells the others.

    Attributes:
        opened: keys that it reads with, each with what it is unwrapped from.
        seals: keys that it seals under, by policy.
    """

    opened: dict[KeyName, bytes] = field(default_factory=dict)
    seals: dict[str, Seal] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return it as JSON."""
        opened = [[policy, key_id.hex(), _text(wrapped)] for (policy, key_id), wrapped in self.opened.items()]
        seals = [[policy, seal.key_id.hex(), _text(seal.wrapped), seal.made] for policy, seal in self.seals.items()]
        return json.dumps({"opened": opened, "seals": seals}).encode()


def parse_told(raw: bytes) -> Told:
    """Read what a process told.

    Raises:
        ValueError: it is something else.
    """
    try:
        document = json.loads(raw)
        opened = {(str(p), bytes.fromhex(k)): base64.b64decode(w, validate=True) for p, k, w in document["opened"]}
        seals = {
            str(p): Seal(bytes.fromhex(k), base64.b64decode(w, validate=True), float(made))
            for p, k, w, made in document["seals"]
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(type(error))) from None
    return Told(opened, seals)


class SharedNames:
    """The files of all processes, as one of them sees them.

    Attributes:
        directory: private, of the processes of one proxy.
    """

    def __init__(self, directory: Path, number: int) -> None:
        """Take the private directory, and which of them this is."""
        self.directory = directory
        self._own = directory / f"keys-{number}"
        self._written = b""
        self._seen: dict[Path, tuple[tuple[int, int], Told]] = {}

    def publish(self, told: Told) -> None:
        """Tell the others; nothing is written while nothing has changed. A full disk is not a reason to fail."""
        content = told.encode()
        if content == self._written:
            return
        with contextlib.suppress(OSError):
            scratch = self._own.with_suffix(".part")
            scratch.write_bytes(content)
            scratch.replace(self._own)
            self._written = content

    def others(self) -> list[Told]:
        """Return what the others told last."""
        found: dict[Path, tuple[tuple[int, int], Told]] = {}
        for path in sorted(self.directory.glob("keys-[0-9]*")):
            if path == self._own or path.suffix:
                continue
            with contextlib.suppress(OSError, ValueError):
                status = os.stat(path)  # noqa: PTH116 - one call, and no follow-up
                stamp = status.st_mtime_ns, status.st_ino
                before = self._seen.get(path)
                found[path] = before if before and before[0] == stamp else (stamp, parse_told(path.read_bytes()))
        self._seen = found
        return [told for _, told in found.values()]


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
