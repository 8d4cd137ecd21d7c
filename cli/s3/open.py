"""``strongroom s3 open``: decrypt a stored object from its bytes, without its store."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from cli.s3.config import read_settings, with_storage
from s3proxy.keys.kek import read_key_file
from s3proxy.storage import Storage
from s3proxy.store.slash_keys import shown_key
from strongroom.errors import ConfigError
from strongroom.sealed.header import Header
from strongroom.sealed.offline import Binding, StoredObject, Unwrap, file_unwrapper, open_object
from strongroom.secret import Secret


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("file", metavar="FILE", type=Path, help="all bytes of the object, as the store has them")
    parser.add_argument("--kek-file", type=Path, metavar="KEY", help="key file; else the KEK of the settings")
    parser.add_argument("--output", type=Path, metavar="OUT", help="where to write the plaintext (default: stdout)")
    parser.add_argument("--name", metavar="BUCKET/KEY", default="", help="check that it is the object of this name")
    parser.add_argument("--entry", metavar="TEXT", default="", help="for --name: its metadata x-amz-meta-seg1")


async def run(options: argparse.Namespace) -> int:
    """Open one object.

    Raises:
        StrongroomError: it is refused; nothing is left at --output then.
    """
    bucket, _, key = options.name.partition("/")
    if bool(options.name) != bool(options.entry) or (options.name and not key):
        msg = "--name, --entry: one without the other, or no BUCKET/KEY"
        raise ConfigError(msg, hint="the name is bound in the metadata x-amz-meta-seg1; give both, or neither")
    # Content under a key that ends in a slash may be kept by another name; what is bound is the client's.
    binding = Binding(options.entry, bucket, shown_key(key)) if options.name else None
    if options.kek_file:
        unwrap = file_unwrapper(read_key_file(options.kek_file))
        await asyncio.to_thread(_open, options, unwrap, binding)
        return 0

    async def work(storage: Storage) -> None:
        await asyncio.to_thread(_open, options, _unwrapper(storage, asyncio.get_running_loop()), binding)

    await with_storage(read_settings(options), work, asks_store=False)
    return 0


def _unwrapper(storage: Storage, loop: asyncio.AbstractEventLoop) -> Unwrap:
    """Return what unwraps by the KEKs of the settings, from a thread beside the loop."""
    policies = frozenset(name for policy in storage.policies for name in policy.names)

    def unwrap(header: Header) -> Secret:
        return asyncio.run_coroutine_threadsafe(storage.keys.to_open(header, policies), loop).result()

    return unwrap


def _open(options: argparse.Namespace, unwrap: Unwrap, binding: Binding | None) -> None:
    opened = open_object(_read(options.file), unwrap, binding=binding)
    if options.output is None:
        for piece in opened.pieces():
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    else:
        _write(opened, options.output)
    checked = f"the name {options.name} holds" if binding else "the name was not checked"
    sys.stderr.write(f"strongroom: {opened.plaintext_bytes} bytes, whole and authentic; {checked}\n")


def _write(opened: StoredObject, output: Path) -> None:
    """Put the plaintext in place once all of it held."""
    scratch = output.with_name(f".{output.name}.{os.urandom(4).hex()}")  # several may write to one output
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in opened.pieces():
                file.write(piece)
        scratch.replace(output)
    except OSError as error:
        msg = f"{error.filename or output}: cannot be written ({error.strerror})"
        raise ConfigError(msg, hint="name another file with --output") from None
    finally:
        scratch.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="get the object from the store without the proxy, and name that file") from None
