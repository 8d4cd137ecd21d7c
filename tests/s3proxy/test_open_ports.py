"""What a proxy says at its start of ports that others than this machine reach."""

import json
from pathlib import Path

from devstack.authority import Authority
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer


def warnings_of(directory: Path, store: SeaweedServer, **settings: object) -> list[str]:
    with ProxyProcess(directory, store, settings=settings) as proxy:
        events = [json.loads(line) for line in proxy.log_file.read_text().splitlines()]
    return [event["reason"].split(":")[0] for event in events if event["event"] == "open_port"]


def test_plain_http_for_other_machines_is_told(tmp_path: Path, store: SeaweedServer) -> None:
    assert warnings_of(tmp_path, store, listen="0.0.0.0:0") == ["listen=0.0.0.0"]


def test_health_for_other_machines_is_told(tmp_path: Path, store: SeaweedServer) -> None:
    assert warnings_of(tmp_path, store, health_listen=":0") == ["health_listen="]


def test_nothing_is_said_of_ports_of_this_machine_and_of_tls(tmp_path: Path, store: SeaweedServer) -> None:
    assert warnings_of(tmp_path / "loopback", store) == []
    files = Authority(tmp_path / "ca").issue_server("proxy")
    tls = {"tls_cert_file": str(files.cert), "tls_key_file": str(files.key)}
    assert warnings_of(tmp_path / "tls", store, listen="0.0.0.0:0", **tls) == []
