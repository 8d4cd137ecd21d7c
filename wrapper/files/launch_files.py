"""All files of one launch: received behind the region, put in place last, and gone again if the launch fails.

Imported only when a file is asked for.
"""

from strongroom.errors import OTHER_VERSION, ConfigError, IntegrityError
from strongroom.launch.answer import HEAD_BYTES, decode_layout, index_bytes
from wrapper.files.written import MemoryFile, PlacedFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrapper.files.value import FileTarget
    from wrapper.memory import Body, SecretMemory


class Files:
    """The files that a launch asks for, and those that came."""

    __slots__ = ("_came", "_files", "_targets")

    def __init__(self, targets: "Mapping[str, FileTarget]") -> None:
        """Check the directories; nothing is written yet.

        Args:
            targets: by the names of their variables.

        Raises:
            ConfigError: a file cannot go where it is to go.
        """
        self._targets = targets
        paths: dict[str, str] = {}
        for name, target in targets.items():
            if target.path and target.path in paths:
                msg = f"{name} and {paths[target.path]}: both have path={target.path}"
                raise ConfigError(msg, hint="give each file a path of its own")
            paths[target.path] = name
        self._files = {name: _file(name, target) for name, target in targets.items()}
        self._came: list[str] = []

    def receive(self, body: "Body", memory: "SecretMemory") -> None:
        """Take an answer apart. Called again, when one was lost, it starts afresh.

        Args:
            body: the answer.
            memory: for the region image.

        Raises:
            IntegrityError: the answer is malformed, or holds a file that was not asked for.
            ConfigError: a file cannot be written.
        """
        self.remove()
        if body.size < HEAD_BYTES:
            msg = f"the bridge announces {body.size} bytes, not the size of an answer with files"
            raise IntegrityError(msg, hint=OTHER_VERSION)
        head = bytearray(HEAD_BYTES)
        body.read_into(memoryview(head))
        index = bytearray(min(index_bytes(bytes(head)), body.size - HEAD_BYTES))
        body.read_into(memoryview(index))
        layout = decode_layout(bytes(head + index), body.size)
        for name in layout.files:
            if name not in self._files:
                raise IntegrityError(f"{name}: the bridge sent a file that was not asked for", hint=OTHER_VERSION)
        body.read_into(memoryview(memory.allocate(layout.region_bytes)))
        for name, file_bytes in layout.files.items():
            self._files[name].receive(file_bytes, body)
            self._came.append(name)

    def hand_over(self) -> dict[str, str]:
        """Return the values of the variables of all files that came; those without a name survive exec from now on."""
        return {name: self._files[name].hand_over() for name in self._came}

    def put_in_place(self) -> None:
        """Give those with a path their names.

        Raises:
            ConfigError: one cannot be put there.
        """
        for name in self._came:
            self._files[name].put_in_place()

    def remove(self) -> None:
        """Remove whatever there is."""
        for file in self._files.values():
            file.remove()
        self._came.clear()


def _file(name: str, target: "FileTarget") -> PlacedFile | MemoryFile:
    if target.kept:
        from wrapper.files.kept import KeptFile

        return KeptFile(name, target)
    return PlacedFile(name, target) if target.path else MemoryFile(name, target)
