"""Planted values come out in answers only: in no log, audit record, metric, problem or command line."""

import json
from pathlib import Path

from devstack.openbao import OpenBaoServer
from tests.bridge.conftest import MakeBridge
from tests.support.bridge.process import BridgeProcess, Reply, bundle_request

CANARY = "C4NARY-7f3a9e"


def test_planted_values_are_seen_in_answers_only(
    bao: OpenBaoServer, make_bridge: MakeBridge, reader_token_file: Path
) -> None:
    admin = bao.admin
    admin.put_v2("kv", "shop/canary", {"k": CANARY, "object": {"a": [CANARY]}, "binary": f"{CANARY}\0"})
    admin.put_v2("kv", "shop/canary-path", {"GOOD": CANARY, "BAD NAME": CANARY})
    admin.put_v1("old", "shop/canary", {"k": CANARY})
    bridge = make_bridge(log_level="debug", max_region_bytes=4096)
    good = bridge.bundle(
        bundle_request(A="bao:kv/shop/canary#k", B="x${bao:kv/shop/canary#object}", C="bao:old/shop/canary#k")
    )
    assert good.body.count(CANARY.encode()) == 3
    refused = [
        bridge.bundle(bundle_request(A="bao:kv/shop/canary#k", B="bao:kv/shop/canary#binary")),
        bridge.bundle(bundle_request(A="bao:kv/shop/canary#k", B="bao:kv/shop/forbidden#k")),
        bridge.bundle(bundle_request(A="bao:kv/shop/canary#k", B="bao:kv/other#k")),
        bridge.bundle(bundle_request(A="bao:kv/shop/canary#k#9")),
        bridge.bundle(bundle_request(from_path=("bao:kv/shop/canary-path",))),
        bridge.bundle(bundle_request({f"V{number}": "bao:kv/shop/canary#k" for number in range(500)})),
        bridge.bundle(
            bundle_request(A="bao:kv/shop/no#k?optional", B="bao:kv/shop/no#k?default=" + CANARY, C="bao:kv/x#k")
        ),
        bridge.post("/v1/bundle", json.dumps({"entries": CANARY}).encode()),
    ]
    assert all(reply.status != 200 for reply in refused)
    checked = bridge.check(
        bundle_request(
            A="bao:kv/shop/canary#k|url",
            B="bao:kv/shop/canary#binary",
            C="bao:kv/shop/no#k?default=" + CANARY,
            D="bao:kv/shop/canary#object|json",
            E="bao:kv/x#k",
            from_path=("bao:kv/shop/canary-path",),
        )
    )
    assert checked.status == 200
    refused.append(checked)
    assert_clean(bridge, refused, reader_token_file.read_text().strip())


def assert_clean(bridge: BridgeProcess, refused: list[Reply], token: str) -> None:
    process = Path(f"/proc/{bridge.process.pid}")
    places = {
        "log": bridge.log_file.read_bytes(),
        "audit": bridge.audit_file.read_bytes(),
        "metrics": bridge.look("/metrics").body,
        "readyz": bridge.look("/readyz").body,
        "environ": (process / "environ").read_bytes(),
        "cmdline": (process / "cmdline").read_bytes(),
        **{f"problem {number}": reply.body for number, reply in enumerate(refused)},
    }
    assert places["log"]
    assert places["audit"]
    for place, content in places.items():
        assert CANARY.encode() not in content, place
        assert token.encode() not in content, place
