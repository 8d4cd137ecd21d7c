"""A launch after a pause finds its mount known: with a real OpenBao, whose audit log tells what it was asked."""

import json

from devstack.openbao import OpenBaoServer
from tests.bridge.conftest import MakeBridge
from tests.support.bridge.process import bundle_request
from tests.support.process.waiting import wait_for

KNOWN_S = 8.0  # instead of a minute
WITH_SHORT_MEMORY = f"""
import sys
from strongroom.openbao import secrets
secrets.MOUNT_TTL_S = {KNOWN_S}
from bridge.main import main
sys.exit(main(sys.argv[1:]))
"""


def asked(bao: OpenBaoServer, path: str) -> int:
    entries = (json.loads(line) for line in bao.audit_file.read_text().splitlines())
    return sum(entry["type"] == "request" and entry["request"]["path"] == path for entry in entries)


def test_a_launch_after_a_pause_asks_openbao_for_its_secret_only(bao: OpenBaoServer, make_bridge: MakeBridge) -> None:
    bridge = make_bridge("-c", WITH_SHORT_MEMORY)
    request = bundle_request(X="bao:kv/shop/db#user")
    before = asked(bao, "sys/internal/ui/mounts/kv/shop/db")
    assert bridge.bundle(request).values == {"X": "app"}
    ahead = asked(bao, "sys/internal/ui/mounts/kv")
    wait_for(
        lambda: asked(bao, "sys/internal/ui/mounts/kv") >= ahead + 3,
        "what was known at first is too old by now",
        timeout_s=60,
    )
    reads = asked(bao, "kv/data/shop/db")
    assert bridge.bundle(request).values == {"X": "app"}
    assert asked(bao, "kv/data/shop/db") == reads + 1
    assert asked(bao, "sys/internal/ui/mounts/kv/shop/db") == before + 1, "it was asked for at the first launch only"
