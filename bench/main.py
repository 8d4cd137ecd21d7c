"""``strongroom bench``."""


def main(arguments: list[str]) -> int:
    """Run the verb."""
    del arguments
    return 2
