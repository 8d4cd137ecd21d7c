"""A type for secret values, so that printing one by accident prints nothing.

It does not erase memory: CPython gives no such promise. It keeps values out of logs, tracebacks and f-strings.
"""


class Secret:
    """Secret bytes that show themselves only when asked by name.

    >>> Secret(b"x")
    Secret(***)
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        """Wrap ``value``."""
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes. The name is long on purpose: each use of it is a place to review."""
        return self._value

    def __len__(self) -> int:
        """Return the number of bytes."""
        return len(self._value)

    def __repr__(self) -> str:
        """Return a string without the value."""
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Return a string without the value, whatever the format asks for."""
        return format(repr(self), spec)

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied into another process."""
        raise TypeError("a Secret cannot be pickled")

    def __eq__(self, other: object) -> bool:
        """Refuse to be compared: ``==`` on secrets leaks timing and is nearly always a mistake."""
        raise TypeError("a Secret cannot be compared; reveal() it and use hmac.compare_digest")

    __hash__ = None  # type: ignore[assignment]
