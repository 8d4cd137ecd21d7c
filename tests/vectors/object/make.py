"""Write the vectors of sealed objects into this directory, or into the one that is named.

``python -m tests.vectors.object.make`` rewrites all files; a test checks that they are what this program writes. The
bytes come from ``writer``, which is independent of the product's code. ``ORIGIN.md`` describes the files.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

from tests.vectors.object.objects import CHUNK, OTHER, THREE, Case, good
from tests.vectors.object.refused import bad
from tests.vectors.object.writer import KEK, Bk

HERE = Path(__file__).parent


ZEROS = re.compile(rb"\0{64,}")


def pieces(stored: bytes) -> list[dict[str, object]]:
    """Describe stored bytes: runs of zeros, whole chunks of good-three-chunks.bin, and the rest in hexadecimal."""
    base, size = THREE.stored, CHUNK + 16
    if len(stored) > CHUNK:
        for begin in (256, 256 + size):
            at = stored.find(base[begin : begin + 4096])
            if at >= 0:
                same = next(
                    (i for i in range(size) if stored[at + i : at + i + 1] != base[begin + i : begin + i + 1]), size
                )
                inner: dict[str, object] = {"file": "good-three-chunks.bin", "from": begin, "length": same}
                return [*pieces(stored[:at]), inner, *pieces(stored[at + same :])]
    described: list[dict[str, object]] = []
    at = 0
    for run in ZEROS.finditer(stored):
        described += [{"hex": stored[at : run.start()].hex()}, {"zeros": run.end() - run.start()}]
        at = run.end()
    return [*described, {"hex": stored[at:].hex()}]


def described(case: Case) -> dict[str, object]:
    """Return what is said of every vector."""
    keys = {f"{bk.policy}/{bk.id.hex()}": bk.value.hex() for bk in (Bk(), OTHER)}
    place = {"bucket": case.bucket, "key": case.key, "entry": case.entry}
    return {"kek": KEK.hex(), "bucket_keys": keys, **place, **case.facts}


def main(directory: Path) -> None:
    """Write all files."""
    stored: dict[bytes, str] = {}
    for case in good():
        facts = described(case)
        facts |= {"stored_bytes": len(case.stored), "stored_sha256": hashlib.sha256(case.stored).hexdigest()}
        facts |= {"plaintext_bytes": len(case.plaintext)}
        facts |= {"plaintext_sha256": hashlib.sha256(case.plaintext).hexdigest()}
        if case.stored in stored:
            facts["file"] = stored[case.stored]
        elif case.name == THREE.name or len(case.stored) <= CHUNK:  # larger ones are described, not stored
            facts["file"] = stored[case.stored] = f"good-{case.name}.bin"
            (directory / f"good-{case.name}.bin").write_bytes(case.stored)
        (directory / f"good-{case.name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    for case in bad():
        facts = described(case) | {"rule": int(case.name.partition("-")[0]), "stored": pieces(case.stored)}
        facts.pop("label", None)
        (directory / f"bad-{case.name}.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
