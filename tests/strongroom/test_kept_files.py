"""What was good once is what a later process can start from."""

from pathlib import Path

import pytest

from strongroom.errors import ConfigError
from strongroom.service.following import KeptFiles, Read


def number_in(path: Path, read: Read) -> int:
    try:
        return int(read(path))
    except (OSError, ValueError):
        raise ConfigError(f"{path}: holds no number", hint="write one") from None


def test_the_first_process_has_nothing_to_fall_back_to(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("x")
    with pytest.raises(ConfigError, match="holds no number"):
        KeptFiles().start(lambda read: number_in(tmp_path / "n", read))


@pytest.mark.parametrize("broken", ["x", "", None])
def test_a_successor_starts_from_what_was_in_force(tmp_path: Path, broken: str | None) -> None:
    file = tmp_path / "n"
    file.write_text("1")
    told: list[dict[str, bytes]] = []
    first = KeptFiles(changed=told.append)
    assert first.start(lambda read: number_in(file, read)) == (1, "")
    file.write_text("2")
    assert first.load(lambda read: number_in(file, read)) == 2
    assert first.load(lambda read: number_in(file, read)) == 2
    assert told == [{str(file): b"1"}, {str(file): b"2"}]
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    with pytest.raises(ConfigError):
        first.load(lambda read: number_in(file, read))
    assert len(told) == 2, "what was refused is not kept"
    value, error = KeptFiles(told[-1]).start(lambda read: number_in(file, read))
    assert value == 2
    assert "holds no number" in error


def test_only_what_was_read_is_told(tmp_path: Path) -> None:
    """A process that lags behind with one file must not put its old content instead of a newer one."""
    told: list[dict[str, bytes]] = []
    lagging = KeptFiles({str(tmp_path / "other"): b"old"}, changed=told.append)
    (tmp_path / "n").write_text("1")
    lagging.load(lambda read: number_in(tmp_path / "n", read))
    assert told == [{str(tmp_path / "n"): b"1"}]


def test_a_successor_prefers_files_that_are_good(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("3")
    kept = KeptFiles({str(tmp_path / "n"): b"2"})
    assert kept.start(lambda read: number_in(tmp_path / "n", read)) == (3, "")
