"""Documents of requests for bundles, and what is said of wrong ones."""

import json

from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.launch.bundle import (
    decode_request,
)
from strongroom.launch.reference import Reference

REFERENCE = Reference("kv/db", "key")
JSON_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def document(**changes: object) -> dict[str, object]:
    return {"entries": [{"name": "A", "parts": [{"path": "kv/db", "key": "key"} | changes]}]}


def refusal(body: bytes) -> str:
    try:
        decode_request(body)
    except ConfigError as error:
        return error.message
    return ""


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()
