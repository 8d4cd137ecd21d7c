"""What a caller gets from a real bridge in front of a real OpenBao, secret by secret."""

import json
from collections import Counter
from pathlib import Path

import pytest

from devstack.openbao import OpenBaoServer
from strongroom.launch.bundle import REGION_MEDIA_TYPE
from strongroom.launch.reference import Reference
from tests.bridge.conftest import READER_RULES, MakeBridge
from tests.support.bridge.process import SHOP, BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for


def test_values_of_version_2_and_version_1_engines_come_in_one_answer(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(
        bundle_request(
            NEW="bao:kv/shop/db#password", OLD="vault:old/shop/db#password", FIRST="bao:kv/shop/db#password#1"
        )
    )
    assert reply.values == {"NEW": "second", "OLD": "from-v1", "FIRST": "first"}
    assert reply.headers["Content-Type"] == REGION_MEDIA_TYPE
    assert reply.headers["Cache-Control"] == "no-store"
    assert int(reply.headers["Content-Length"]) == len(reply.body)


def test_texts_and_references_are_joined(bridge: BridgeProcess) -> None:
    url = "pg://${bao:kv/shop/db#user}:${bao:kv/shop/db#password}@${bao:kv/shop/db#host}/ü"
    assert bridge.bundle(bundle_request(URL=url)).values == {"URL": "pg://app:second@db/ü"}


@pytest.mark.parametrize(
    ("reference", "status", "detail"),
    [
        ("bao:kv/shop/db#nothing", 404, "X: there is no key 'nothing' in kv/shop/db"),
        ("bao:kv/shop/nothing#k", 404, "X: there is no secret at kv/shop/nothing"),
        ("bao:kv/shop/nothing#k#2", 404, "X: there is no secret at kv/shop/nothing"),
        ("bao:kv/shop/db#password#9", 404, "X: there is no version 9 of kv/shop/db"),
        ("bao:kv/shop/versions#k#1", 404, "X: version 1 of kv/shop/versions was destroyed"),
        ("bao:kv/shop/versions#k#2", 404, "X: version 2 of kv/shop/versions was deleted"),
        ("bao:kv/shop/deleted#k", 404, "X: version 1 of kv/shop/deleted was deleted"),
        ("bao:old/shop/nothing#k", 404, "X: there is no secret at old/shop/nothing"),
        ("bao:old/shop/db#password#1", 404, "X: old/shop/db is in a version 1 engine, which keeps no versions"),
        ("bao:kv/shop/forbidden#k", 403, "X: OpenBao does not let the bridge read kv/shop/forbidden"),
        ("bao:nomount/shop/x#k", 403, "X: OpenBao does not let the bridge see nomount/shop/x"),
        ("bao:pki/shop/x#k", 422, "X: pki/ is an engine of type 'pki'"),
        ("bao:kv/other/db#k", 403, f"X: no grant gives {SHOP} the path kv/other/db"),
        ("bao:kv/common#private_key", 403, f"X: no grant gives {SHOP} the key 'private_key' of kv/common"),
    ],
)
def test_each_reason_is_told_apart(bridge: BridgeProcess, reference: str, status: int, detail: str) -> None:
    reply = bridge.bundle(bundle_request(X=reference))
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.detail.startswith(detail)


def test_a_missing_mount_is_missing_for_a_token_that_may_see_all(
    bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    bao.write_token_file(tmp_path / "root")
    reply = make_bridge(openbao_token_file=tmp_path / "root").bundle(bundle_request(X="bao:nomount/shop/x#k"))
    assert (reply.status, reply.failures) == (404, [("X", "missing")])
    assert "nothing is mounted at nomount/" in reply.detail


def test_all_failing_references_are_listed_and_the_worst_decides(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(
        bundle_request(
            GOOD="bao:kv/shop/db#user",
            GONE="bao:kv/shop/db#nothing",
            REFUSED="bao:kv/shop/forbidden#k",
            WRONG="bao:pki/shop/x#k",
        )
    )
    assert reply.status == 403
    assert reply.failures == [("GONE", "missing"), ("REFUSED", "denied"), ("WRONG", "undeliverable")]
    reply = bridge.bundle(bundle_request(GONE="bao:kv/shop/db#nothing", WRONG="bao:pki/shop/x#k"))
    assert (reply.status, len(reply.failures)) == (404, 2)


def test_nothing_is_read_when_the_policy_denies_one_reference(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    bao.admin.put_v2("kv", "shop/untouched", {"k": "v"})
    reply = bridge.bundle(bundle_request(A="bao:kv/shop/untouched#k", B="bao:kv/private#k", C="bao:kv/other#k"))
    assert (reply.status, reply.failures) == (403, [("B", "denied"), ("C", "denied")])
    assert reads_at(bao, "kv/data/shop/untouched") == 0


def test_optional_and_default_cover_what_is_missing(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(
        bundle_request(
            LEFT_OUT="bao:kv/shop/nothing#k?optional",
            DEFAULT="bao:kv/shop/db#nothing?default=fallback",
            DELETED="bao:kv/shop/deleted#k?default=",
            INLINE="<${bao:kv/shop/db#nothing?optional}>",
            THERE="bao:kv/shop/db#user?optional",
        )
    )
    assert reply.values == {"DEFAULT": "fallback", "DELETED": "", "INLINE": "<>", "THERE": "app"}


@pytest.mark.parametrize("reference", ["bao:kv/other/db#k", "bao:kv/shop/forbidden#k"])
def test_optional_and_default_never_cover_a_denial(bridge: BridgeProcess, reference: str) -> None:
    assert bridge.bundle(bundle_request(X=f"{reference}?optional")).status == 403
    assert bridge.bundle(bundle_request(X=f"{reference}?default=d")).status == 403


def test_values_that_are_no_texts_become_compact_json(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    raw = {"number": 1234567890123, "real": 1.5, "truth": True, "object": {"b": [1, {}], "a": "ü"}, "null": None}
    bao.admin.put_v2("kv", "shop/json", raw)
    names = ["number", "real", "truth", "object"]
    reply = bridge.bundle(bundle_request({name.upper(): f"bao:kv/shop/json#{name}" for name in names}))
    assert reply.values == {
        "NUMBER": "1234567890123",
        "REAL": "1.5",
        "TRUTH": "true",
        "OBJECT": '{"a":"ü","b":[1,{}]}',  # OpenBao sorts the members
    }
    assert bridge.bundle(bundle_request(X="bao:kv/shop/json#null")).failures == [("X", "missing")]


def test_a_binary_value_is_refused_with_variable_path_and_key(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    bao.admin.put_v2("kv", "shop/binary", {"cert": "a\0b"})
    reply = bridge.bundle(bundle_request(CERT="bao:kv/shop/binary#cert"))
    assert (reply.status, reply.failures) == (422, [("CERT", "undeliverable")])
    assert "binary" in reply.detail
    failures = reply.document["failures"]
    assert isinstance(failures, list)
    assert (failures[0]["path"], failures[0]["key"]) == ("kv/shop/binary", "cert")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("shop/My App", "why?"),
        ("shop/what? #1", "a#b"),
        ("shop/50% off", "{x}"),
        ("shop/[a]*{b}", "100%"),
        ('shop/it\'s "q" `c` <t> a|b^c', 'it\'s "q"'),
        ("shop/m\u00fcnchen & co; x=y", "schl\u00fcssel/a:b"),
    ],
)
def test_paths_and_keys_with_any_printable_character_are_found(
    bridge: BridgeProcess, bao: OpenBaoServer, path: str, key: str
) -> None:
    bao.admin.put_v2("kv", path, {key: "found"})
    reference = Reference(f"kv/{path}", key)
    assert bridge.bundle(bundle_request(X=f"bao:{reference}")).values == {"X": "found"}
    assert bridge.bundle(bundle_request(X="${bao:" + str(reference) + "}!")).values == {"X": "found!"}


def test_a_value_of_200_kb_arrives_whole(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    value = "0123456789" * 20_000
    bao.admin.put_v2("kv", "shop/large", {"k": value})
    assert bridge.bundle(bundle_request(X="bao:kv/shop/large#k")).values == {"X": value}


def test_5000_secrets_of_one_path_arrive_in_one_answer(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    secrets = {f"KEY_{number}": f"value-{number}" for number in range(5000)}
    bao.admin.put_v2("kv", "shop/many", dict(secrets))
    reply = bridge.bundle(bundle_request({name: f"bao:kv/shop/many#{name}" for name in secrets}))
    assert reply.values == secrets
    assert len(bridge.audit(reply.headers["X-Request-Id"])) == 5000
    assert bridge.bundle(bundle_request(from_path=("bao:kv/shop/many",))).values == secrets


def test_a_plan_says_what_the_policy_says_and_reads_nothing(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    before = len(bridge.audit())
    reply = bridge.plan(
        bundle_request(
            A="bao:kv/shop/planned#k", B="x${bao:kv/other#k#3}", from_path=("bao:kv/shop/planned", "bao:kv/no")
        )
    )
    assert reply.document == {
        "identity": SHOP,
        "entries": [
            {"name": "A", "path": "kv/shop/planned", "key": "k", "version": 0, "allowed": True, "reason": "granted"},
            {
                "name": "B", "path": "kv/other", "key": "k", "version": 3, "allowed": False,
                "reason": f"no grant gives {SHOP} the path kv/other",
            },
        ],
        "from_path": [
            {"path": "kv/shop/planned", "allowed": True, "reason": "granted, for the keys that the policy names"},
            {"path": "kv/no", "allowed": False, "reason": f"no grant gives {SHOP} the path kv/no"},
        ],
    }  # fmt: skip
    assert reads_at(bao, "kv/data/shop/planned") == 0
    assert [(r["operation"], r["name"], r["path"], r["decision"]) for r in bridge.audit()[before:]] == [
        ("plan", "B", "kv/other", "denied"),
        ("plan", "", "kv/no", "denied"),
    ]
    bridge.plan(bundle_request(A="bao:kv/shop/planned#k"))
    assert len(bridge.audit()) == before + 2  # what is allowed is recorded when it is read


def state(item: object) -> tuple[object, ...]:
    assert isinstance(item, dict)
    return (item.get("name", "*"), item["allowed"], item["state"], item["found_version"])


def test_a_check_looks_for_each_secret_and_says_what_a_bundle_would_do(bridge: BridgeProcess) -> None:
    before = len(bridge.audit())
    reply = bridge.check(
        bundle_request(
            A="bao:kv/shop/db#password",
            B="${bao:kv/shop/db#user#1}${bao:kv/other#k}${bao:kv/shop/db#none}",
            C="bao:kv/shop/nope#k",
            D="bao:kv/shop/versions#k#2?optional",
            E="bao:kv/shop/forbidden#k",
            F="bao:old/shop/db#password",
            from_path=("bao:kv/shop/db", "bao:kv/no", "bao:kv/shop/nope?optional"),
        )
    )
    assert reply.status == 200, reply.body
    entries, paths = reply.document["entries"], reply.document["from_path"]
    assert isinstance(entries, list)
    assert isinstance(paths, list)
    assert [state(item) for item in entries] == [
        ("A", True, "exists", 2),
        ("B", True, "exists", 1),
        ("B", False, "denied", 0),
        ("B", True, "missing", 2),
        ("C", True, "missing", 0),
        ("D", True, "missing", 0),
        ("E", True, "denied", 0),
        ("F", True, "exists", 0),
    ]
    assert [state(item) for item in paths] == [
        ("*", True, "exists", 2),
        ("*", False, "denied", 0),
        ("*", True, "missing", 0),
    ]
    assert paths[0]["reason"] == "3 keys would be variables"
    assert "kv/shop/nope" in entries[4]["reason"]
    assert "deleted" in entries[5]["reason"]
    records = bridge.audit()[before:]
    assert {record["operation"] for record in records} == {"check"}
    assert Counter(record["decision"] for record in records) == {"denied": 3, "checked": 6, "missing": 4}
    assert bridge.metric('strongroom_bridge_secrets_total{decision="checked"}') >= 6


def test_a_check_of_a_caller_that_no_grant_names_reads_nothing(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    stranger = bridge.authority.issue_client("stranger-check", identities=("spiffe://example.org/ns/other/sa/x",))
    before = reads_at(bao, "kv/data/shop/db")
    assert bridge.check(bundle_request(A="bao:kv/shop/db#password"), client=stranger).status == 403
    bridge.check(bundle_request(A="bao:kv/other#k"))
    assert reads_at(bao, "kv/data/shop/db") == before


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [
        ("/v1/bundle", b"{", 400),
        ("/v1/bundle", b'{"entries": [], "more": 1}', 400),
        ("/v1/bundle", b'{"entries": [{"name": "X", "parts": [{"path": "kv/../sys", "key": "k"}]}]}', 400),
        ("/v1/bundle", b'{"entries": [{"name": "X", "parts": [{"path": "kv/%2e%2e/sys", "key": "k"}]}]}', 400),
        ("/v1/bundle", b'{"entries": [{"name": "X", "parts": [{"path": "kv/\\ud800", "key": "k"}]}]}', 400),
        ("/v1/nothing", b"{}", 404),
        ("/v1/../v1/bundle/", b"{}", 404),
    ],
)
def test_a_malformed_request_is_a_problem(bridge: BridgeProcess, url: str, body: bytes, status: int) -> None:
    reply = bridge.post(url, body)
    assert reply.status == status
    assert reply.document["status"] == status


def test_a_text_that_cannot_be_in_a_variable_is_refused(bridge: BridgeProcess) -> None:
    for text, status in (("\\ud800", 400), ("\\u0000", 422)):
        body = f'{{"entries": [{{"name": "X", "parts": ["{text}", {{"path": "kv/shop/db", "key": "user"}}]}}]}}'
        assert bridge.post("/v1/bundle", body.encode()).status == status


def test_an_empty_request_gets_an_empty_region(bridge: BridgeProcess) -> None:
    assert bridge.bundle(bundle_request()).values == {}


def test_each_secret_is_audited_before_the_answer(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(bundle_request(A="bao:kv/shop/db#password", B="bao:kv/shop/db#no?optional"))
    request_id = reply.headers["X-Request-Id"]
    common = {"identity": SHOP, "peer": "127.0.0.1", "request_id": request_id, "operation": "bundle"}
    records = bridge.audit(reply.headers["X-Request-Id"])
    assert [{name: value for name, value in record.items() if name != "time"} for record in records] == [
        common | {
            "name": "A", "path": "kv/shop/db", "key": "password", "version": 2, "decision": "allowed", "reason": "",
        },
        common | {
            "name": "B", "path": "kv/shop/db", "key": "no", "version": 2, "decision": "missing",
            "reason": "there is no key 'no' in kv/shop/db",
        },
    ]  # fmt: skip
    assert bridge.audit_file.stat().st_mode & 0o777 == 0o600


def test_refusals_are_audited_too(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(bundle_request(A="bao:kv/shop/db#password", B="bao:kv/other#k"))
    assert [(r["name"], r["decision"]) for r in bridge.audit(reply.headers["X-Request-Id"])] == [("B", "denied")]
    reply = bridge.bundle(bundle_request(A="bao:kv/shop/db#password", B="bao:kv/shop/forbidden#k"))
    records = bridge.audit(reply.headers["X-Request-Id"])
    assert [(r["name"], r["decision"]) for r in records] == [("A", "withheld"), ("B", "denied")]


def test_an_engine_that_changes_its_version_is_found_out(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    bao.admin.enable_kv("kvfoe", version=1)
    bao.admin.write_policy("reader", READER_RULES + 'path "kvfoe/*" { capabilities = ["read"] }')
    bao.admin.put_v1("kvfoe", "shop/x", {"k": "one"})
    assert bridge.bundle(bundle_request(X="bao:kvfoe/shop/x#k")).values == {"X": "one"}
    bao.admin.disable_mount("kvfoe")
    bao.admin.enable_kv("kvfoe", version=2)
    bao.admin.put_v2("kvfoe", "shop/x", {"k": "two"})
    wait_for(lambda: bridge.bundle(bundle_request(X="bao:kvfoe/shop/x#k")).status == 200, "the new engine is found")
    assert bridge.bundle(bundle_request(X="bao:kvfoe/shop/x#k")).values == {"X": "two"}


def reads_at(bao: OpenBaoServer, path: str) -> int:
    """Count the reads of a path in OpenBao's own audit log."""
    entries = (json.loads(line) for line in bao.audit_file.read_text().splitlines())
    return sum(
        entry["type"] == "response" and entry["request"]["path"] == path and entry["request"]["operation"] == "read"
        for entry in entries
    )
