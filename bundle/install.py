"""``DIR/strongroom bundle TARGET``: a bundle that copies itself, for images in which there is no ``cp``."""

import sys
from pathlib import Path

from bundle.check import check_bundle
from bundle.manifest import read_files, read_manifest
from bundle.report import describe_size
from bundle.usage import parse
from bundle.write import write
from strongroom.errors import StrongroomError
from wrapper.exit_status import report


def main(arguments: list[str], directory: str) -> int:
    """Copy the bundle to another directory, each file compared with the manifest first.

    Args:
        arguments: what follows ``strongroom bundle``.
        directory: where the bundle is that runs.
    """
    try:
        options = parse(arguments)
        if options is None:
            return 0
        files = read_files(directory, read_manifest(directory))
        write(files, Path(options.directory), force=options.force, check=check_bundle)
    except StrongroomError as error:
        return report(error)
    sys.stdout.write(describe_size(options.directory, files))
    return 0
