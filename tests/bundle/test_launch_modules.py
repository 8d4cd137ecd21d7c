"""A launch from a bundle imports what is ours from one file, and that file holds the same code as the modules' own."""

import marshal
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bundle.launch_modules import NAMES
from bundle.modules import OWN_PACKAGES

IMPORTED = re.compile(r"^import '([\w.]+)' # <(\S+) object", re.MULTILINE)
HELD = "15,2"  # the signals that the launcher holds


def words_of(directory: Path, *options: str) -> list[str]:
    """Return the words by which the launcher of a bundle starts its interpreter."""
    libraries = ["--inhibit-cache", "--library-path", str(directory / "lib")]
    python = [str(directory / "bin/python3"), "-I", "-S", "-B", *options, str(directory / "lib/start.pyc")]
    return [str(directory / "lib/ld.so"), *libraries, *python, HELD]


def test_a_launch_imports_these_and_no_others_of_ours(
    directory: Path, references: Mapping[str, str], certificate_settings: Mapping[str, str]
) -> None:
    given = {"PATH": os.defpath, **references, **certificate_settings}
    hidden = {f".{name}": value for name, value in given.items()}  # as the launcher does
    command = [*words_of(directory, "-v"), "run", "--shared-key", "--", "true"]
    done = subprocess.run(command, env=hidden, capture_output=True, text=True, check=True, timeout=30)

    loaders = {name: loader for name, loader in IMPORTED.findall(done.stderr) if name.partition(".")[0] in OWN_PACKAGES}
    assert loaders == dict.fromkeys(NAMES, "__main__.LaunchModules")


def test_it_is_the_code_of_the_modules(directory: Path) -> None:
    (folder,) = directory.glob("lib/python3.*")
    modules = marshal.loads((directory / "lib/launch.marshal").read_bytes())  # noqa: S302 - made here

    assert set(modules) == set(NAMES)
    for name, (path, code) in modules.items():
        assert (folder / path).read_bytes()[16:] == code, name


def test_where_a_module_says_it_is_it_is(directory: Path) -> None:
    """As the library beside ``preload`` is found by it, and modules that are not in the file by their packages."""
    code = (
        "import sys; sys.argv = [sys.argv[1], '-', 'version']\n"
        "with open(sys.argv[0], 'rb') as file: data = file.read()\n"
        "import marshal; names = {'__name__': 'begun'}; exec(marshal.loads(data[16:]), names)\n"
        "sys.meta_path.insert(0, names['LaunchModules'](sys.argv[0][:-len('/lib/start.pyc')]))\n"
        "import os, preload, wrapper.main, wrapper.usage, wrapper.static.start\n"
        "assert type(wrapper.main.__loader__).__name__ == 'LaunchModules'\n"
        "print(os.path.isfile(preload.__file__), os.path.isfile(wrapper.main.__file__), preload.library_path())\n"
    )
    words = words_of(directory)
    at = words.index(str(directory / "lib/start.pyc"))
    done = subprocess.run([*words[:at], "-c", code, words[at]], env={}, capture_output=True, text=True, check=False)

    assert done.stdout.startswith(f"True True {directory}/lib/python3."), done.stderr
