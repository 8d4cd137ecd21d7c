"""Waiting for OpenBao off the event loop: a bounded pool of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.secrets import Exchange

T = TypeVar("T")


class Pool:
    """The threads that wait for OpenBao.

    Attributes:
        threads: how many there are.
    """

    def __init__(self, threads: int) -> None:
        """Take the number of threads; it bounds the connections to OpenBao."""
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="openbao")

    async def exchange(self, openbao: Exchange, call: Call) -> Answer:
        """Make one call of OpenBao in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, openbao.exchange, call)

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work, which makes calls of OpenBao, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Let the threads end when they are done; waiting work is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)
