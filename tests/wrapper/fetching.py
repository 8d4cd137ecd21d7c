"""One request to the bridge, as the tests of it make it."""

import mmap
from collections.abc import Callable

import pytest

from strongroom.errors import StrongroomError
from strongroom.launch.bundle import BUNDLE_URL_PATH, BundleRequest, Entry
from strongroom.launch.reference import Reference
from tests.support.bridge.fake import response
from wrapper.fetch.bridge import Body, Bridge
from wrapper.settings import WrapperSettings

REQUEST = BundleRequest([Entry("A", [Reference("kv/db", "key")])], [], frozenset())
BODY = bytes(range(256)) * 300
CUT = response(200, BODY)
Load = Callable[..., WrapperSettings]


class Memory:
    """Takes what is fetched, in a mapping as the launch does."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.mapping = mmap.mmap(-1, 1)

    def receive(self, body: Body) -> None:
        self.sizes.append(body.size)
        self.mapping = mmap.mmap(-1, body.size)
        body.read_into(memoryview(self.mapping))


def fetch(settings: WrapperSettings) -> Memory:
    memory = Memory()
    Bridge(settings).fetch(BUNDLE_URL_PATH, REQUEST, memory.receive)
    return memory


def refused(settings: WrapperSettings) -> StrongroomError:
    with pytest.raises(StrongroomError) as caught:
        fetch(settings)
    return caught.value
