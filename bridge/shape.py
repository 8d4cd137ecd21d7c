"""What a request's JSON may look like, found out before a parser makes objects of it. Pure.

Two bytes of JSON can become an object of 64. What bounds that is the form of the requests themselves
(``strongroom/launch/bundle.py``): five levels, and no list or object in less than fifteen bytes.
"""

import re

from strongroom.errors import ConfigError

MAX_DEPTH = 5  # request, entries, entry, parts, reference
_SLACK = 100  # empty lists and objects here and there
_BYTES_PER_CONTAINER = 12  # {"path":"a/b"} has 14, and a comma

# Both are linear, because they match wherever they are tried: a text that never ends takes all the rest.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_INNERMOST = re.compile(rb"[\[{][^\[\]{}]*+[\]}]")


def require_modest(body: bytes) -> None:
    """Return if a body can be parsed at a cost in proportion to its size.

    Raises:
        ConfigError: it has more lists and objects than a request can have, or they are too deep.
    """
    bare = _TEXT.sub(b"", body)
    containers = bare.count(b"[") + bare.count(b"{")
    if containers > _SLACK + len(body) // _BYTES_PER_CONTAINER:
        msg = f"the request has {containers} lists and objects in {len(body)} bytes, more than any request has"
        raise ConfigError(msg, hint="send what `strongroom run` sends")
    for _ in range(MAX_DEPTH):
        bare = _INNERMOST.sub(b"", bare)
    if b"[" in bare or b"{" in bare:
        msg = f"the request is not JSON, or is nested deeper than {MAX_DEPTH} levels"
        raise ConfigError(msg, hint="send what `strongroom run` sends")
