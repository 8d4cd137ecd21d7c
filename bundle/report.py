"""What is said about a bundle once it stands."""

from collections.abc import Mapping

from bundle.manifest import File

_LARGEST = 8


def describe_size(directory: str, files: Mapping[str, File]) -> str:
    """Return the size of a bundle and of its largest files, as lines."""
    total = sum(len(file.data) for file in files.values())
    largest = sorted(files.items(), key=lambda item: (-len(item[1].data), item[0]))[:_LARGEST]
    lines = [f"{directory}: {total} bytes ({total / 1e6:.1f} MB) in {len(files)} files"]
    lines += [f"{len(file.data):>10}  {path}" for path, file in largest]
    rest = total - sum(len(file.data) for _, file in largest)
    return "\n".join([*lines, f"{rest:>10}  all others", ""])
