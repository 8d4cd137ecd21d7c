"""``strongroom bundle DIR`` of an installation: make a bundle of it."""

import sys
from pathlib import Path

from bundle.check import check_bundle
from bundle.contents import collect
from bundle.report import describe_size
from bundle.usage import parse
from bundle.write import write
from strongroom.errors import StrongroomError
from wrapper.exit_status import report


def main(arguments: list[str]) -> int:
    """Run the verb.

    Args:
        arguments: what follows ``strongroom bundle``.
    """
    try:
        options = parse(arguments)
        if options is None:
            return 0
        files = collect()
        write(files, Path(options.directory), force=options.force, check=check_bundle)
    except StrongroomError as error:
        return report(error)
    sys.stdout.write(describe_size(options.directory, files))
    return 0
