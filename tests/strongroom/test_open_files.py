"""Files that everybody may read or write are warned of, by the name of their setting."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.service.command import warn_of_open_files
from strongroom.service.settings import Guard, setting
from tests.bundle.roots import open_directory


@dataclass(frozen=True)
class Files:
    tls_key_file: Path | None = setting(None, "a key", guard=Guard.READ)
    unset: Path | None = setting(None, "another key", guard=Guard.READ)
    policy_file: Path | None = setting(None, "a policy", guard=Guard.WRITE)
    missing: Path | None = setting(None, "another policy", guard=Guard.WRITE)
    log: Path | None = setting(None, "a log")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that every user can reach, unlike those of pytest."""
    with open_directory() as folder:
        yield folder


def test_what_stands_where_not_everybody_gets_is_not_spoken_of(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="strongroom")
    closed = open_folder / "closed"
    closed.mkdir(mode=0o750)
    (closed / "file").write_text("x")
    (open_folder / "link").symlink_to(closed / "file")
    for path in (closed / "file", open_folder / "link"):
        path.chmod(0o644)
        warn_of_open_files(Files(tls_key_file=path))
    assert not caplog.records


@pytest.mark.parametrize(
    ("mode", "as_secret", "as_believed"),
    [
        (0o600, "", ""),
        (0o640, "", ""),
        (0o660, "", ""),
        (0o644, "may be read by everybody (mode 0644)", ""),
        (0o604, "may be read by everybody (mode 0604)", ""),
        (0o602, "may be written by everybody (mode 0602)", "may be written by everybody (mode 0602)"),
        (0o666, "may be written by everybody (mode 0666)", "may be written by everybody (mode 0666)"),
    ],
)
def test_what_is_said_of_a_mode(
    open_folder: Path, caplog: pytest.LogCaptureFixture, mode: int, as_secret: str, as_believed: str
) -> None:
    caplog.set_level(logging.WARNING, logger="strongroom")
    file = open_folder / "file"
    file.write_text("x")
    file.chmod(mode)
    warn_of_open_files(Files(tls_key_file=file, policy_file=file, missing=open_folder / "no", log=file))
    told = [record.__dict__["strongroom_fields"] for record in caplog.records]
    wanted = {"tls_key_file": as_secret, "policy_file": as_believed}
    assert [one["reason"] for one in told] == [f"{name}={file}: {what}" for name, what in wanted.items() if what]
    assert all(f"chmod o= {file}" in one["hint"] for one in told)
