"""Keeps the application's Python settings away from Strongroom's own interpreter.

The wrapper runs in other people's images. Their ``PYTHONPATH`` may hold packages called ``cli`` or modules called
``resource``, and they would be imported in the place of ours: by accident, or by whoever can write there. ``python -I``
ignores all of it (https://docs.python.org/3/using/cmdline.html#cmdoption-I); a launcher that an installer wrote cannot
pass that option, so it is made up for here, before anything else is imported.
"""

import os
import sys


def start() -> int:
    """Run the ``strongroom`` command; where installers point their launcher to."""
    isolate("cli")
    from importlib import import_module

    # By name, since the ground that everything stands on does not depend on the command.
    status: int = import_module("cli.main").main()
    return status


def isolate(module: str) -> None:
    """Return when nobody else's modules are in the way; if need be, begin again as ``python -I -m module``.

    Args:
        module: what is being run.
    """
    if sys.flags.isolated:
        return
    if "PYTHONPATH" in os.environ:
        os.execv(sys.executable, [sys.executable, "-I", "-m", module, *sys.argv[1:]])  # noqa: S606 - ourselves
    if not sys.flags.safe_path and sys.path[0] != _home():
        del sys.path[0]  # the launcher's own directory, or with -m the current one


def _home() -> str:
    """Return the directory that this package was imported from: a checkout is run from there."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is slow to import
