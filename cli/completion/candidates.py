"""What a shell offers for the word at the cursor: pure."""

from dataclasses import dataclass
from typing import Literal

from cli.completion.tree import Option, Rest, Verb, find_verb


@dataclass(frozen=True)
class Offer:
    """What to offer.

    Attributes:
        kind: ``words`` are these; ``files`` are paths; ``command`` is a command line of its own.
        words: with their meanings.
        begin: of ``command``, the index of its first word among those that were given.
    """

    kind: Literal["words", "files", "command"] = "words"
    words: tuple[tuple[str, str], ...] = ()
    begin: int = 0

    def render(self) -> str:
        """Return the lines that the scripts of ``main.py`` read: the kind, then a word and its meaning each."""
        lines = [f"command {self.begin}" if self.kind == "command" else self.kind]
        return "".join(f"{line}\n" for line in lines + [f"{word}\t{meaning}" for word, meaning in self.words])


def offer(words: list[str]) -> Offer:
    """Return what to offer for the last word.

    Args:
        words: what follows ``strongroom``, up to the cursor; the last one is what is being typed, "" for nothing yet.
    """
    *before, current = words
    path: tuple[str, ...] = ()
    verb = find_verb(path)
    index = 0
    while index < len(before):
        word = before[index]
        index += 1
        if word == "--":
            return Offer("command", begin=index) if verb.rest == "command" else _rest(verb.rest)
        if word.startswith("-"):
            option = _option(verb, word.partition("=")[0])
            if option and option.takes_value and "=" not in word:
                if index == len(before):
                    return _values(option)
                index += 1
        elif word in verb.verbs:
            path += (word,)
            verb = find_verb(path)
        elif verb.rest == "command":
            return Offer("command", begin=index - 1)
        elif not path:
            return Offer()
    return _last(verb, current, len(before))


def _last(verb: Verb, current: str, index: int) -> Offer:
    if current.startswith("-"):
        flag, equals, _ = current.partition("=")
        option = _option(verb, flag)
        if equals:
            return _values(option) if option else Offer()
        return Offer(words=tuple((option.flag, option.meaning) for option in verb.options))
    if verb.verbs:
        return Offer(words=tuple(verb.verbs.items()))
    return Offer("command", begin=index) if verb.rest == "command" else _rest(verb.rest)


def _rest(rest: Rest) -> Offer:
    return Offer("files") if rest == "files" else Offer()


def _option(verb: Verb, flag: str) -> Option | None:
    return next((option for option in verb.options if option.flag == flag), None)


def _values(option: Option) -> Offer:
    if option.takes_files:
        return Offer("files")
    return Offer(words=tuple((choice, "") for choice in option.choices))
