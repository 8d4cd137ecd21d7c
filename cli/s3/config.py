"""The settings of a proxy, for the tools that work beside it: the same file, environment and defaults."""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from s3proxy.backing import Backing
from s3proxy.serving.metrics import Metrics
from s3proxy.settings import PREFIX, ProxySettings
from strongroom.settings import Arguments, load_settings

T = TypeVar("T")


def read_settings(config_file: str) -> ProxySettings:
    """Read the settings of the proxy.

    Args:
        config_file: ``s3proxy.toml``; "" for what the environment names.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    return load_settings(ProxySettings, prefix=PREFIX, arguments=Arguments({}, config_file), environ=os.environ)


async def with_backing(settings: ProxySettings, work: Callable[[Backing], Awaitable[T]]) -> T:
    """Do something with the proxy's own parts.

    Raises:
        StrongroomError: as the work.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # what is wrong ends the verb, which says it in its own words
    async with Backing(settings, Metrics()) as backing:
        return await work(backing)
