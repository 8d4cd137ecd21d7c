"""The variable that makes the room on the initial stack as long as secrets in their placeholders would be.

Servers take the room of their arguments and environment for a title, and some compute it from the strings that
``environ`` points at (preload/src/padding.h). Whoever puts the secrets in place makes this variable an empty one.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "STRONGROOM_PADDING"
_STEP = 256  # so that the length tells little of the secrets
_VARIABLE_MAX = 128 * 1024  # MAX_ARG_STRLEN of execve(2), with the NUL


def padding(value_bytes: int) -> str:
    """Return the value of the variable; empty for none, when it would be longer than a variable can be."""
    length = value_bytes + -value_bytes % _STEP
    return "." * length if len(VARIABLE) + 2 + length <= _VARIABLE_MAX else ""


def with_padding(environment: "dict[str, str]", value_bytes: "Mapping[str, int]") -> dict[str, str]:
    """Return the environment with the padding at its end, and with what is no secret at its beginning.

    What looks for its arguments in front of the first string of the environment finds them if that one is on the stack.

    Args:
        environment: with placeholders.
        value_bytes: the length of each secret.
    """
    ordered = {name: value for name, value in environment.items() if name not in value_bytes} | environment
    text = padding(sum(value_bytes.values()))
    if text:
        ordered[VARIABLE] = text
    return ordered
