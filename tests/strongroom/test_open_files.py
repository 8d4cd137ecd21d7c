"""Files that everybody may read or write are warned of, by the name of their setting."""

import logging
from pathlib import Path

import pytest

from strongroom.service.open_files import warn_of_open_files


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
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, as_secret: str, as_believed: str
) -> None:
    caplog.set_level(logging.WARNING, logger="strongroom")
    file = tmp_path / "file"
    file.write_text("x")
    file.chmod(mode)
    warn_of_open_files({"tls_key_file": file, "unset": None}, {"policy_file": file, "missing": tmp_path / "no"})
    told = [record.__dict__["strongroom_fields"] for record in caplog.records]
    wanted = {"tls_key_file": as_secret, "policy_file": as_believed}
    assert [one["reason"] for one in told] == [f"{name}={file}: {what}" for name, what in wanted.items() if what]
    assert all(f"chmod o= {file}" in one["hint"] for one in told)
