"""The settings of a proxy, for the tools that work beside it: the same flags, file, environment and defaults."""

import argparse
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from typing import TypeVar

from s3proxy.backing import Backing
from s3proxy.serving.metrics import Metrics
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.settings import Arguments, load_settings, setting_of, take_value

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
    names = {field.name for field in fields(ProxySettings)} - OWN.get(verb, set())
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


async def with_backing(settings: ProxySettings, work: Callable[[Backing], Awaitable[T]]) -> T:
    """Do something with the proxy's own parts.

    Raises:
        StrongroomError: as the work.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # what is wrong ends the verb, which says it in its own words
    async with Backing(settings, Metrics()) as backing:
        return await work(backing)
