"""The settings of a proxy, for the tools that work beside it: the same flags, file, environment and defaults."""

import argparse
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from s3proxy.metrics import Metrics
from s3proxy.settings import PREFIX, ProxySettings
from s3proxy.storage import Storage
from s3proxy.store.capabilities import NotKnownError
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.service.command import Arguments, load_settings, setting_of, take_value
from strongroom.service.settings import settings_in

T = TypeVar("T")


OWN = {"open": {"kek_file"}}
"""Options of a verb that have the name of a setting, and a meaning of their own."""


def take_settings(arguments: Sequence[str], verb: str) -> tuple[list[str], dict[str, str]]:
    """Split a command line into what is the verb's and settings of the proxy, which are options of every verb, too.

    Args:
        arguments: what follows ``strongroom s3``.
        verb: one of its words.

    Raises:
        ConfigError: a setting has no value.
    """
    names = settings_in(ProxySettings).keys() - OWN.get(verb, set())
    rest: list[str] = []
    settings: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            return [*rest, word, *words], settings
        if word.startswith("--") and setting_of(word) in names:
            settings[setting_of(word)] = take_value(word, words)
        else:
            rest.append(word)
    return rest, settings


def read_settings(options: argparse.Namespace) -> ProxySettings:
    """Read the settings of the proxy.

    Args:
        options: of the verb: ``config`` is the file, "" for what the environment names, and ``settings`` are those of
            the command line.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    arguments = Arguments(options.settings, options.config)
    return load_settings(ProxySettings, prefix=PREFIX, arguments=arguments, environ=os.environ)


async def with_storage(
    settings: ProxySettings, work: Callable[[Storage], Awaitable[T]], *, asks_store: bool = True
) -> T:
    """Do something with the proxy's own parts.

    Args:
        settings: of the proxy.
        work: what is done.
        asks_store: whether the store is first asked what it can do, as a proxy asks it at its start.

    Raises:
        StrongroomError: as the work.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # what is wrong ends the verb, which says it in its own words
    async with Storage(settings.storage, Metrics(), retry_s=settings.server.reload_interval_s) as storage:
        unanswered = await storage.ask_store() if asks_store else None
        try:
            return await work(storage)
        except NotKnownError as error:
            if unanswered is None:
                raise
            raise _not_told(unanswered, settings.storage.system_bucket) from error


def _not_told(reason: StrongroomError, bucket: str) -> UnavailableError:
    """Return why a verb cannot go on: it asks the store once, and what it needs to know was not answered."""
    msg = f"the store was asked in {bucket} what it can do, and does not tell: {reason.message}"
    return UnavailableError(msg, hint=reason.hint or f"see the log of the store; it was asked under probe/ in {bucket}")
