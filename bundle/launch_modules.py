"""The modules of a launch in one file, which ``cli.bundled`` imports them from.

Each by itself costs a launch a search in directories, an open and a read: together a twentieth of all. They are in the
bundle as files, too, as all modules are: what begins otherwise finds them there.
"""

import marshal
from collections.abc import Mapping

NAMES = (
    "cli",
    "cli.main",
    "preload",
    "strongroom",
    "strongroom.elf",
    "strongroom.errors",
    "strongroom.isolation",
    "strongroom.launch",
    "strongroom.launch.bundle",
    "strongroom.launch.reference",
    "strongroom.launch.region",
    "strongroom.launch.value",
    "strongroom.linux",
    "strongroom.names",
    "strongroom.pem_files",
    "strongroom.terminal",
    "strongroom.validity",
    "wrapper",
    "wrapper.exec",
    "wrapper.fetch",
    "wrapper.fetch.addresses",
    "wrapper.fetch.bridge",
    "wrapper.fetch.context",
    "wrapper.fetch.dial",
    "wrapper.fetch.http",
    "wrapper.fetch.native_tls",
    "wrapper.fetch.retry",
    "wrapper.launch",
    "wrapper.main",
    "wrapper.memory",
    "wrapper.plan",
    "wrapper.program",
    "wrapper.settings",
    "wrapper.signals",
)
"""What a launch with secrets in variables imports of ours; a test compares it with one."""

_HEADER_BYTES = 16  # of a .pyc file (PEP 552)
_WITHOUT_REFERENCES = 2  # the version of marshal whose bytes depend on values alone


def join(bytecode: Mapping[str, bytes]) -> bytes:
    """Return the file: by the name of each module, where it would be a file of its own, and its code.

    Args:
        bytecode: the .pyc files of all modules, by their path below the library directory.
    """
    modules = {}
    for name in NAMES:
        path = name.replace(".", "/") + "/__init__.pyc"
        if path not in bytecode:
            path = name.replace(".", "/") + ".pyc"
        modules[name] = path, bytecode[path][_HEADER_BYTES:]
    return marshal.dumps(modules, _WITHOUT_REFERENCES)
