r"""The answer to a bundle in which some entries are files: an index, the region image, and the files' bytes.

| off | size | field, little-endian |
|---|---|---|
| 0 | 8 | magic ``SRBNDL1\0`` |
| 8 | 4 | size of the index |
| 12 | 4 | number of files, 0 to 65,535: a missing optional one is left out |
| 16 | 8 | size of the region image |
| 24 | | the index, for each file: u64 its size, u16 the length of its name, the name |
| … | | the region image, with the variables |
| … | | the files, in the order of the index, with nothing between them |

The sizes add up to the length of the answer exactly. Names and sizes are in front, so a receiver knows where each
byte belongs before it comes, and can have it written there without looking at it. Pure; the launch imports this module
only when a file is asked for.
"""

from _struct import Struct
from _struct import error as StructError  # type: ignore[attr-defined]  # noqa: N812 - it is an exception

from strongroom.errors import OTHER_VERSION, IntegrityError
from strongroom.launch.reference import is_env_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

MAGIC = b"SRBNDL1\0"
MAX_FILES = 65_535  # no more variables than a region may have
MAX_INDEX_BYTES = 8 << 20  # the largest request that can ask for them by default
MAX_FILE_BYTES = 1 << 30  # of all files together, as for a region

_HEAD = Struct("<8sIIQ")
_ITEM = Struct("<QH")
HEAD_BYTES = _HEAD.size


class Layout:
    """Where the parts of an answer stand.

    Attributes:
        region_bytes: size of the region image.
        files: size of each file by the name of its variable, in their order.
    """

    __slots__ = ("files", "region_bytes")

    def __init__(self, region_bytes: int, files: "Mapping[str, int]") -> None:
        self.region_bytes = region_bytes
        self.files = files


def encode_layout(layout: Layout) -> bytes:
    """Write what is in front of the region image."""
    index = b"".join(_ITEM.pack(size, len(name)) + name.encode("ascii") for name, size in layout.files.items())
    return _HEAD.pack(MAGIC, len(index), len(layout.files), layout.region_bytes) + index


def index_bytes(head: bytes) -> int:
    """Return the size of the index behind the first HEAD_BYTES of an answer.

    Raises:
        IntegrityError: they are not the beginning of such an answer.
    """
    magic, size, count, _ = _HEAD.unpack(head)
    if magic != MAGIC or count > MAX_FILES or size > MAX_INDEX_BYTES:
        _refuse("its head")
    return int(size)


def decode_layout(front: bytes, total_bytes: int) -> Layout:
    """Read what is in front of the region image.

    Args:
        front: head and index.
        total_bytes: length of the whole answer.

    Raises:
        IntegrityError: names or sizes are not what they must be, or do not add up.
    """
    if len(front) != HEAD_BYTES + index_bytes(front[:HEAD_BYTES]):
        _refuse("the size of its index")
    _, _, count, region_bytes = _HEAD.unpack_from(front)
    files: dict[str, int] = {}
    position = HEAD_BYTES
    for _ in range(count):
        try:
            size, length = _ITEM.unpack_from(front, position)
        except StructError:
            _refuse("its index is cut")
        position += _ITEM.size + length
        name = front[position - length : position].decode("latin-1")
        if len(name) != length or not is_env_name(name) or name in files:
            _refuse("a name in its index")
        files[name] = size
    if position != len(front):
        _refuse("its index is too long")
    content_bytes = sum(files.values())
    if content_bytes > MAX_FILE_BYTES or len(front) + region_bytes + content_bytes != total_bytes:
        _refuse("its sizes do not add up")
    return Layout(region_bytes, files)


def _refuse(detail: str) -> "NoReturn":
    raise IntegrityError(f"malformed answer with files: {detail}", hint=OTHER_VERSION)
