"""Changes a value of a region image in place, while programs read it.

The new string goes to the room behind the others, then one aligned 64-bit store swings the slot to it
(``docs/region-format.md``, "Changing a value in place"). One writer at a time; readers need no lock.
"""

import sys

from strongroom.errors import UndeliverableError
from strongroom.launch.region import read_slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

# In 64-bit words from the start of the image: generation with its check, and the slots.
_GENERATION_WORD = 24 // 8
_FIRST_SLOT_WORD = 48 // 8
_WORDS_OF_A_SLOT = 16 // 8
_U32 = 0xFFFF_FFFF

# Slots are swung by native stores, in the byte order of the format.
assert sys.byteorder == "little"


def change_value(image: "bytearray | mmap", name: str, value_bytes: int, fill: "Callable[[memoryview], None]") -> int:
    """Give a variable another value.

    Args:
        image: the whole image, writable.
        name: a variable that is in it.
        value_bytes: length of the new value.
        fill: writes the value, without a NUL, into the memory that it is given; no Python object need hold it.

    Returns:
        The new generation.

    Raises:
        IntegrityError: the image is malformed.
        UndeliverableError: there is no such variable, no room for the value, or the value holds a NUL byte.
    """
    slots = read_slots(image)
    if name not in slots:
        raise UndeliverableError(f"{name}: is not in the region", hint="make a new region")
    slot, _, _ = slots[name]
    start = max(end for _, _, end in slots.values()) + 1  # what was written last is always some slot's
    value_at = start + len(name) + 1
    end = value_at + value_bytes
    if end >= len(image):
        raise UndeliverableError(f"{name}: there is no room for {value_bytes} bytes more", hint="make a new region")
    image[start:value_at] = name.encode("ascii") + b"="
    with memoryview(image) as whole:
        fill(whole[value_at:end])
        if image.find(b"\0", value_at, end) >= 0:
            msg = f"{name}: the value is binary (it holds a NUL byte) and cannot be a variable"
            raise UndeliverableError(msg, hint="take it as a file: NAME=file:bao:PATH#KEY")
        image[end] = 0
        with whole.cast("Q") as words:
            words[_FIRST_SLOT_WORD + slot * _WORDS_OF_A_SLOT + 1] = start | value_bytes << 32
            generation = (words[_GENERATION_WORD] & _U32) + 1 & _U32
            words[_GENERATION_WORD] = generation | (generation ^ _U32) << 32
    return generation
