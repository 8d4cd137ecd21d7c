"""The manifest of a bundle: what it was made of, and the SHA-256 of every other file in it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from strongroom.errors import IntegrityError

MANIFEST = "manifest.json"
LAUNCHER = "strongroom"
PYTHON = "STRONGROOM_BUNDLE_PYTHON"  # the variable that names the interpreter to be taken

_FORMAT = 1
_ANEW = "make the bundle anew, with --force, by an installation or an untouched bundle"


@dataclass(frozen=True)
class File:
    """A file of a bundle.

    Attributes:
        data: its content.
        is_program: whether it may be executed.
        origin: where it was taken from, if that is worth telling; nothing of it is in the bundle.
    """

    data: bytes
    is_program: bool = False
    origin: str = ""

    @property
    def mode(self) -> int:
        """Its permission bits: anyone who the application runs as must be able to read it."""
        return 0o755 if self.is_program else 0o644


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes:
        version: of Strongroom.
        python: of the interpreter.
        machine: as uname(2) names it.
        digests: SHA-256 in hexadecimal by path, for every file but the manifest.
        programs: the paths of files that may be executed.
    """

    version: str
    python: str
    machine: str
    digests: Mapping[str, str]
    programs: frozenset[str]

    def encode(self, files: Mapping[str, File]) -> bytes:
        """Return the content of ``manifest.json``."""
        document = {
            "format": _FORMAT,
            "strongroom": self.version,
            "python": self.python,
            "machine": self.machine,
            "files": {
                path: {"sha256": self.digests[path], "bytes": len(file.data), "mode": f"{file.mode:04o}"}
                for path, file in sorted(files.items())
            },
        }
        return (json.dumps(document, indent=1) + "\n").encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file's content as the manifest has it."""
    return sha256(data).hexdigest()


def describe(files: Mapping[str, File], *, version: str, python: str, machine: str) -> Manifest:
    """Return the manifest of these files."""
    return Manifest(
        version,
        python,
        machine,
        {path: digest(file.data) for path, file in files.items()},
        frozenset(path for path, file in files.items() if file.is_program),
    )


def read_manifest(directory: str) -> Manifest:
    """Read the manifest of the bundle in a directory.

    Raises:
        IntegrityError: there is none, or it is not one.
    """
    path = os.path.join(directory, MANIFEST)  # noqa: PTH118 - the launch path of a bundle has no pathlib
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            document = json.load(file)
        if document["format"] != _FORMAT:
            raise IntegrityError(f"{path}: is of another format", hint=_ANEW)
        entries = {str(name): (str(entry["sha256"]), str(entry["mode"])) for name, entry in document["files"].items()}
        return Manifest(
            str(document["strongroom"]),
            str(document["python"]),
            str(document["machine"]),
            {name: entry[0] for name, entry in entries.items()},
            frozenset(name for name, entry in entries.items() if entry[1] == "0755"),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path}: is not the manifest of a bundle ({error})", hint=_ANEW) from None


def read_files(directory: str, manifest: Manifest) -> dict[str, File]:
    """Read all files of a bundle, the manifest included.

    Raises:
        IntegrityError: a file is missing or is not what it was.
    """
    files = {}
    for path, expected in manifest.digests.items():
        data = _read(directory, path)
        if digest(data) != expected:
            raise IntegrityError(f"{directory}/{path}: has changed since the bundle was made", hint=_ANEW)
        files[path] = File(data, is_program=path in manifest.programs)
    return {**files, MANIFEST: File(_read(directory, MANIFEST))}


def _read(directory: str, path: str) -> bytes:
    try:
        with open(f"{directory}/{path}", "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as error:
        raise IntegrityError(f"{directory}/{path}: {error.strerror}", hint=_ANEW) from None
