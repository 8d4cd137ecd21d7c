"""What is kept of a launch, and who may say so."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from tests.support.process.privileges import is_root
from wrapper.plan import plan_launch
from wrapper.saved_launch import SavedLaunch, decode_launch, launch_to_save, read_launch, write_launch

ENVIRON = {
    "DB": "bao:kv/db#key?default=x",
    "CONF": "file(path=/run/x):a=${bao:kv/db#key}",
    "PLAIN": "a plain value that nobody said is not a secret",
    "STRONGROOM_FROM_PATH": "bao:kv/env",
    "STRONGROOM_BRIDGE": "https://from-the-environment",
    "STRONGROOM_CA": "/tls/ca.crt",
    "STRONGROOM_QUIET": "0",
    "STRONGROOM_SAVE_LAUNCH": "/run/launch.json",
    "STRONGROOM_SUPERVISE": "1",
    "STRONGROOM_S3PROXY_LISTEN": ":9000",
}
LAUNCH = SavedLaunch({"DB": "bao:kv/db#key", "STRONGROOM_BRIDGE": "https://b"}, frozenset({"HOME"}))


def content(launch: SavedLaunch | None) -> object:
    assert launch is not None
    return launch.environment, launch.exclude


def test_references_and_settings_are_kept_and_nothing_else() -> None:
    launch = launch_to_save({"bridge": "https://flag", "cert": "tls/crt", "quiet": "1"}, ENVIRON, plan_launch(ENVIRON))

    assert launch.environment == {
        "DB": "bao:kv/db#key?default=x",
        "CONF": "file(path=/run/x):a=${bao:kv/db#key}",
        "STRONGROOM_FROM_PATH": "bao:kv/env",
        "STRONGROOM_BRIDGE": "https://flag",
        "STRONGROOM_CA": "/tls/ca.crt",
        "STRONGROOM_CERT": f"{Path.cwd()}/tls/crt",
    }
    assert launch.exclude == {"PLAIN"}


def test_what_is_written_is_read_back_from_a_file_of_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "launch.json"
    path.write_bytes(b"an older one")
    path.chmod(0o644)
    write_launch(str(path), LAUNCH)

    assert path.stat().st_mode & 0o777 == 0o600
    assert content(read_launch(str(path))) == content(LAUNCH)
    assert list(tmp_path.iterdir()) == [path]


@given(
    st.dictionaries(
        st.sampled_from(["A", "B_1"]),
        st.text().map(lambda text: "${bao:" + text.replace("\0", "")),  # first: behind literal: it is not a reference
    )
)
def test_any_value_of_a_variable_survives(environment: dict[str, str]) -> None:
    document = {"strongroom_launch": 1, "environment": environment, "exclude": []}
    assert decode_launch(json.dumps(document).encode(), "x").environment == environment


def test_bytes_that_are_not_utf8_survive(tmp_path: Path) -> None:
    path = str(tmp_path / "launch.json")
    write_launch(path, SavedLaunch({"STRONGROOM_CA": "/\udcff"}, frozenset()))
    assert content(read_launch(path)) == ({"STRONGROOM_CA": "/\udcff"}, frozenset())


def test_none_when_there_is_no_such_file(tmp_path: Path) -> None:
    assert read_launch(str(tmp_path / "none")) is None
    (tmp_path / "file").write_bytes(b"")
    assert read_launch(str(tmp_path / "file" / "none")) is None


@pytest.mark.parametrize("path", ["/proc/self/none", "/nowhere/at/all", "/"])
def test_a_place_that_cannot_be_written_to_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=f"--save-launch {path}"):
        write_launch(path, LAUNCH)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_not_believed(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "launch.json"
    write_launch(str(path), LAUNCH)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="only root or user"):
        read_launch(str(path))


@pytest.mark.skipif(not is_root(), reason="giving files away needs root")
def test_a_file_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "launch.json"
    write_launch(str(path), LAUNCH)
    os.chown(path, 1234, 1234)
    with pytest.raises(ConfigError, match="only root or user"):
        read_launch(str(path))


def test_neither_is_a_link_a_directory_or_a_pipe(tmp_path: Path) -> None:
    write_launch(str(tmp_path / "real"), LAUNCH)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "directory").mkdir(0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "directory", "pipe"):
        with pytest.raises(ConfigError):
            read_launch(str(tmp_path / name))


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"strongroom_launch": 2, "environment": {}, "exclude": []},
        {"strongroom_launch": 1, "environment": {}},
        {"strongroom_launch": 1, "environment": {}, "exclude": [], "more": 1},
        {"strongroom_launch": 1, "environment": [], "exclude": []},
        {"strongroom_launch": 1, "environment": {}, "exclude": [1]},
        {"strongroom_launch": 1, "environment": {"A": 1}, "exclude": []},
        {"strongroom_launch": 1, "environment": {"PLAIN": "x"}, "exclude": []},
        {"strongroom_launch": 1, "environment": {"LD_PRELOAD": "/evil.so"}, "exclude": []},
        {"strongroom_launch": 1, "environment": {"A=B": "bao:kv/a#b"}, "exclude": []},
        {"strongroom_launch": 1, "environment": {"A": "bao:kv/a#b\0"}, "exclude": []},
    ],
)
def test_another_form_is_refused(document: object) -> None:
    with pytest.raises(ConfigError, match="is not what"):
        decode_launch(json.dumps(document).encode(), "x")


@given(st.binary())
def test_any_bytes_are_refused_with_our_own_error(body: bytes) -> None:
    with pytest.raises(ConfigError):
        decode_launch(body, "x")
