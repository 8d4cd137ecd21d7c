"""Changes of files are taken up when they have come to rest."""

from pathlib import Path

from strongroom.service.following import Changes, stamp_of


def test_a_change_is_due_when_two_looks_see_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    changes = Changes(stamp_of(file))
    assert not changes.are_due(stamp_of(file))
    file.write_text("")
    assert not changes.are_due(stamp_of(file)), "somebody may be writing it"
    file.write_text("new")
    assert not changes.are_due(stamp_of(file)), "somebody was"
    assert changes.are_due(stamp_of(file))
    assert not changes.are_due(stamp_of(file))


def test_an_edit_that_was_taken_back_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    before = stamp_of(file)
    changes = Changes(before)
    file.unlink()
    assert not changes.are_due(stamp_of(file))
    assert not changes.are_due(before)
    assert not changes.are_due(before)


def test_a_file_that_stays_away_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    changes = Changes(stamp_of(file))
    file.unlink()
    assert not changes.are_due(stamp_of(file))
    assert changes.are_due(stamp_of(file))
