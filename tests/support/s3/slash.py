"""A key that ends in a slash instead of another one, for sequences of operations that know nothing of it.

FOLDER-CONTENT: a bare SeaweedFS makes a directory of such a key. So the bare side has the object under the name that
the proxy would have it stored by, and its answers are read as if that were the key: a store that keeps such keys.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from s3proxy.store.slash_keys import is_kept_key, kept_key, shown_key
from tests.support.s3.multipart_operations import MultipartOperations
from tests.support.s3.operations import NO_INSTEAD
from tests.support.s3.pair import Answer, Instead, Side

T = TypeVar("T")

_NOT_KEYS = frozenset({"Body", "Prefix", "Delimiter"})


class KeepingSide(Side):
    """A bare store as if it kept content under keys that end in a slash."""

    def call(self, operation: str, **parameters: object) -> tuple[int, str, Answer]:
        # A marker in a group of a listing stands for the group, all of which was listed.
        below = str(parameters.get("Marker", parameters.get("StartAfter", ""))).removeprefix(
            str(parameters.get("Prefix", ""))
        )
        grouped = "Delimiter" in parameters and str(parameters["Delimiter"]) in below
        kept = _NOT_KEYS | ({"Marker", "StartAfter"} if grouped else set())
        wish = {name: value if name in kept else _each(value, _asked) for name, value in parameters.items()}
        status, code, answer = super().call(operation, **wish)
        return status, code, {name: value if name == "Body" else _each(value, _told) for name, value in answer.items()}


class SlashOperations(MultipartOperations):
    """The same operations, with ``dir/`` instead of ``dir/a``."""

    def key(self, key: str) -> str:
        return super().key("dir/" if key == "dir/a" else key)

    def _put(
        self,
        key: str,
        body: bytes,
        more: Callable[[Side], Mapping[str, object]],
        instead: Instead = NO_INSTEAD,
    ) -> None:
        # FOLDERS: without content it is a directory, which has no metadata.
        super()._put(key, body or b"0", more, instead)


def _asked(text: str) -> str:
    return kept_key(text) if text.endswith("dir/") else text


def _told(text: str) -> str:
    return shown_key(text) if is_kept_key(text) else text


def _each(value: T, change: Callable[[str], str]) -> T:
    """Change every text in a value of boto3."""
    changed: object = value
    if isinstance(value, str):
        changed = change(value)
    elif isinstance(value, list):
        changed = [_each(one, change) for one in value]
    elif isinstance(value, dict):
        changed = {name: one if name in _NOT_KEYS else _each(one, change) for name, one in value.items()}
    return cast("T", changed)
