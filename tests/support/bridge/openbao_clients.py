"""Both clients of OpenBao behind one signature: what one of them promises, the other does too."""

import asyncio
from collections.abc import Callable

import pytest

from strongroom.openbao.blocking import BlockingOpenBao
from strongroom.openbao.client import OpenBao
from strongroom.openbao.connection import Answer, Call, Endpoint, Observe, Route

Exchange = Callable[..., Answer]


def exchange(endpoint: Endpoint, *calls: Call, observe: Observe = lambda *_: None) -> Answer:
    """Make calls on the event loop, one after the other; returns the answer of the last."""

    async def work() -> Answer:
        client = OpenBao(Route(endpoint), observe=observe)
        try:
            for call in calls[:-1]:
                await client.exchange(call)
            return await client.exchange(calls[-1])
        finally:
            client.close()

    return asyncio.run(work())


def exchange_blocking(endpoint: Endpoint, *calls: Call, observe: Observe = lambda *_: None) -> Answer:
    """Do the same with the client of logins."""
    client = BlockingOpenBao(Route(endpoint), observe=observe)
    for call in calls[:-1]:
        client.exchange(call)
    return client.exchange(calls[-1])


every_client = pytest.mark.parametrize("exchange", [exchange, exchange_blocking], ids=["client", "blocking"])
