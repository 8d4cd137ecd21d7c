"""Patterns, of the policy and of keys of whole paths.

``*`` stands for anything within a segment, ``**`` for anything, nothing else is special. A pattern is matched in one
pass over the text, whatever it looks like: the set of positions in the pattern that may have been reached is one
integer. A regular expression could be made to take time that grows with a power of the length, and the text comes from
the caller.
"""

from strongroom.errors import ConfigError


class Glob:
    """A compiled pattern."""

    __slots__ = ("_any", "_final", "_literal", "_positions", "_prefix", "_rest", "_stars", "pattern")

    def __init__(self, pattern: str, *, separator: str = "/") -> None:
        """Compile a pattern.

        Args:
            pattern: the text.
            separator: what ``*`` does not match; with "" it matches everything, as ``**`` does.

        Raises:
            ConfigError: it is empty or holds three stars in a row.
        """
        if not pattern or "***" in pattern:
            msg = f"{pattern!r}: a pattern is not empty and has at most two stars in a row"
            raise ConfigError(msg, hint="* is anything within a segment, ** anything at all")
        self.pattern = pattern
        self._literal = "*" not in pattern
        self._prefix = pattern.partition("*")[0]
        self._positions: dict[str, int] = {}  # character -> positions where the pattern has it
        self._stars = self._any = 0  # positions of all stars, and of those that match the separator too
        position = 0
        rest = pattern
        while rest:
            if rest[0] != "*":
                self._positions[rest[0]] = self._positions.get(rest[0], 0) | 1 << position
                rest = rest[1:]
            else:
                double = rest.startswith("**")
                self._stars |= 1 << position
                if double or not separator:
                    self._any |= 1 << position
                rest = rest[2 if double else 1 :]
            position += 1
        self._final = 1 << position
        self._rest = self._any & self._final >> 1  # a star at the end, for which it is all one what comes

    def matches(self, text: str) -> bool:
        """Return whether the whole text matches; callers of the policy get an exception instead."""
        if self._literal:
            return text == self.pattern
        if not text.startswith(self._prefix):
            return False
        reached = self._close(1)
        for character in text:
            if reached & self._rest:
                return True
            stay = reached & (self._any if character == "/" else self._stars)
            step = (reached & self._positions.get(character, 0)) << 1
            reached = self._close(stay | step)
            if not reached:
                return False
        return bool(reached & self._final)

    def _close(self, reached: int) -> int:
        """Add the positions after stars that match nothing; two stars in a row are one, so one step is enough."""
        return reached | (reached & self._stars) << 1
