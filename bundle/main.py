"""``strongroom bundle DIR`` of an installation: make a bundle of it."""

from bundle import install
from bundle.contents import collect


def main(arguments: list[str]) -> int:
    """Run the verb.

    Args:
        arguments: what follows ``strongroom bundle``.
    """
    return install.main(arguments, collect)
