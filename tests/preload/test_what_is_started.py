"""What posix_spawn() starts is what it starts without the library: in rooms of programs and of what looks like them."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.preload.launch import COMPILERS, PASSWORD, Build, Launcher, Programs
from tests.support.launch.loaders import build_without_libraries

FOLDERS = ["A", "B", "C"]
PATH_MAX = 4096
NAMES = ["one", "two"]
LINKS = ["/dev/fd/7", "/proc/self/fd/7", "/proc/self/cwd/one", "loop", "nowhere", "../A/one", "../B/two"]
ACTIONS = ["none", "chdir:A", "fchdir:B", "open:7:A/one", "dup:7:B/two", "has:7:C/one"]
SEARCHED = ["A", "B", "C", "", ".", "/nowhere", "/proc/self/cwd", "/dev/fd", "A/one", "x" * 300]
LONG = ["y/" * 2100, "z" * 4090]  # around PATH_MAX


class Room:
    """Folders of files of every kind, by chance."""

    def __init__(self, place: Path, chance: random.Random, programs: list[Path]) -> None:
        self.place = place
        self._chance = chance
        self._programs = programs
        for folder in FOLDERS:
            (place / folder).mkdir(parents=True)
            for name in NAMES:
                chance.choice([self._program, self._program, self._other, self._script, self._link])(
                    place / folder / name
                )

    def _program(self, file: Path) -> None:
        shutil.copy(self._chance.choice(self._programs), file)
        file.chmod(self._chance.choice([0o755, 0o755, 0o755, 0o644, 0o2745]))

    def _other(self, file: Path) -> None:
        content = self._chance.choice(self._programs).read_bytes()[: self._chance.choice([0, 3, 64, 100, 600])]
        file.write_bytes(content)
        file.chmod(0o755)

    def _script(self, file: Path) -> None:
        interpreter = self._chance.choice([*self.names(), "/bin/sh", "/nowhere", ""])
        file.write_text(f"#!{interpreter} DB_PASSWORD\n")
        file.chmod(0o755)

    def _link(self, file: Path) -> None:
        (file.parent / "loop").unlink(missing_ok=True)
        (file.parent / "loop").symlink_to("loop")
        file.symlink_to(self._chance.choice(LINKS))

    def names(self) -> list[str]:
        """Return what may lead to a file of the room."""
        relative = [f"{folder}/{name}" for folder in FOLDERS for name in NAMES]
        return [*NAMES, *relative, *(str(self.place / name) for name in relative)]

    def search_path(self) -> str:
        """Return a PATH."""
        folders = [*SEARCHED, *LONG, *(str(self.place / folder) for folder in FOLDERS)]
        chosen = self._chance.choices(folders, k=self._chance.randint(1, 3))
        # After a last one of more than PATH_MAX glibc's errno is what it was before.
        return ":".join([*chosen, "/nowhere"] if len(chosen[-1]) > PATH_MAX else chosen)


@pytest.fixture
def all_programs(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)  # and back at the end
    kinds = [(compiler, *options) for compiler in COMPILERS.values() for options in ((), ("-static",))]
    (tmp_path / "without").mkdir()
    return [*(build("print", *kind) for kind in kinds), build_without_libraries(tmp_path / "without")]


@pytest.mark.parametrize("seed", range(12))
def test_the_same_program_or_the_same_error(
    launcher: Launcher, programs: Programs, all_programs: list[Path], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same rooms each time
    room = Room(tmp_path / "room", chance, all_programs)
    os.chdir(room.place)
    for _ in range(40):
        call = chance.choice(["posix_spawn", "posix_spawnp", "posix_spawnp"])
        action = chance.choice(ACTIONS)
        opened = Path(action.rpartition(":")[2])
        if action.startswith(("open", "dup", "has")) and (opened.is_symlink() or not opened.is_file()):
            continue  # what of two errors is told is not promised
        words = [str(programs.build("spawn_elsewhere")), call, action, chance.choice([*NAMES * 4, *room.names()])]
        environment = {"PATH": room.search_path(), "DB_PASSWORD": PASSWORD.decode()}
        command = [*words, "DB_PASSWORD"]
        without = subprocess.run(
            command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=200
        )
        found = launcher.run_exactly(command, {**environment, "DB_PASSWORD": ""}, {"DB_PASSWORD": PASSWORD})

        assert (found.returncode, found.stdout, found.stderr) == (
            without.returncode,
            without.stdout,
            without.stderr,
        ), (command, environment)
