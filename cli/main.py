"""``strongroom VERB ...``: finds the verb and hands over. Imports nothing before it knows which.

``run`` is on every pod's launch path, so this module may not grow imports.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = {
    "run": "start a command with the secrets its environment refers to",
    "exec": "start a command in a running container, with the same secrets",
    "plan": "show what run would fetch, from where, and whether it would be allowed",
    "bridge": "serve secrets from OpenBao to wrappers",
    "s3proxy": "serve S3 in front of a store that sees ciphertext only",
    "s3": "work on sealed buckets: change keys, migrate, verify, open",
    "dev": "start OpenBao, a bridge, an S3 store and a proxy on this machine, to try things out",
    "demo": "show the main job from end to end",
    "doctor": "probe this machine, or attack a running program, and say what is protected",
    "bench": "measure what all this costs here, beside its peers, and write a report",
    "bundle": "make a directory with an interpreter of its own, for images without Python",
    "completion": "print the script that has bash, zsh or fish complete all this",
    "version": "print the version",
}
"""Every verb with a line about it, in the order in which they are shown."""

# Verbs of components that an installation may lack: where each one's main() is, and the extra that brings its needs.
_COMPONENTS = {
    "bridge": ("bridge.main", "bridge"),
    "s3proxy": ("s3proxy.main", "s3proxy"),
    "s3": ("cli.s3.main", "s3proxy"),
    "dev": ("devstack.main", "dev"),
    "demo": ("cli.demo.main", "dev"),
    "bundle": ("bundle.main", "dev"),
    "doctor": ("doctor.main", "dev"),
    "completion": ("cli.completion.main", "dev"),
    "bench": ("bench.main", "bench"),
}

_HOLD_SECRETS = frozenset({"bridge", "s3proxy", "s3"})  # all their lives


def main(argv: list[str] | None = None, *, lacking: frozenset[str] = frozenset()) -> int:
    """Run one verb and return its exit status.

    Args:
        argv: the words after ``strongroom``; those of the process when None.
        lacking: verbs that this Strongroom does not have, because it is a bundle.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        try:
            status = _run(words, lacking)
        except SystemExit:  # as argparse ends after a help text
            _flush()
            raise
        _flush()
    except BrokenPipeError:
        if not _is_unread():
            raise
        return 141  # as shells tell of a program that SIGPIPE has ended
    return status


def _flush() -> None:
    """Write what is held for stdout now: the interpreter, at its end, would complain of a reader that is gone."""
    if sys.stdout is not None:  # it was closed before the start
        sys.stdout.flush()


def _is_unread() -> bool:
    """Return whether nobody reads stdout any longer, as behind ``| head``; what is still held for it is let go."""
    import os
    import select

    looked = select.poll()
    looked.register(1, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in looked.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return True


def _run(words: list[str], lacking: frozenset[str]) -> int:
    verb = words[0] if words else "--help"
    if verb in {"--help", "-h", "help"}:
        sys.stdout.write(_help(lacking))
        return 0 if words else 2
    if verb in lacking:
        from strongroom.terminal import say

        say(f"error: {verb}: is not part of a bundle")
        say(f"hint: install strongroom where this is to run, and use {verb} there")
        return 2
    if verb in {"--version", "version"}:
        from importlib.metadata import version

        sys.stdout.write(f"strongroom {version('strongroom')}\n")
        return 0
    if verb in {"exec", "plan"} and words[1:2] in (["--help"], ["-h"]):
        from wrapper import usage

        sys.stdout.write(usage.exec_help() if verb == "exec" else usage.plan_help())
        return 0
    run = _find(verb)
    if run is None:
        from strongroom.terminal import say

        say(f"error: {verb}: no such verb")
        say("hint: strongroom --help lists them")
        return 2
    return run(words[1:])


def _help(lacking: frozenset[str]) -> str:
    lines = "".join(f"  {verb:<10}  {says}\n" for verb, says in VERBS.items() if verb not in lacking)
    return f"""\
usage: strongroom VERB [ARG...]

{lines}
strongroom VERB --help tells more. Data goes to stdout, everything else to stderr.
"""


def _find(verb: str) -> "Callable[[list[str]], int] | None":
    # Each verb imports its component here and nowhere else.
    if verb == "run":
        from wrapper.main import main as run

        return run
    if verb == "exec":
        from wrapper.verbs.exec import main as join

        return join
    if verb == "plan":
        from wrapper.verbs.plan import main as plan

        return plan
    from strongroom.isolation import give_signals_back

    give_signals_back()
    if verb in _HOLD_SECRETS:
        from strongroom.linux.process import keep_memory_private

        keep_memory_private()  # importing them takes a second, in which others could look into this process
    component = _COMPONENTS.get(verb)
    return _component(*component) if component else None


def _component(module: str, extra: str) -> "Callable[[list[str]], int]":
    from importlib import import_module

    from strongroom.names import PACKAGES

    try:
        main: Callable[[list[str]], int] = import_module(module).main
    except ModuleNotFoundError as error:
        name = str(error.name)
        if name.partition(".")[0] in PACKAGES:
            raise

        def missing(_arguments: list[str]) -> int:
            from strongroom.terminal import say

            say(f"error: the Python package {name} is not installed")
            say(f"hint: pip install 'strongroom[{extra}]'")
            return 1

        return missing
    return main
