"""What processes hold, looked at from time to time and printed as a table."""

import time
from collections.abc import Callable
from pathlib import Path


class Resources:
    """Samples of several processes."""

    def __init__(self, processes: Callable[[], dict[str, int]]) -> None:
        """Take what returns the process ids by name; they may change."""
        self._processes = processes
        self._begin = time.monotonic()
        self.rows: list[tuple[float, str, int, int]] = []

    def sample(self) -> None:
        for name, pid in self._processes().items():
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                resident = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
                descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just been killed
            self.rows.append((time.monotonic() - self._begin, name, resident, descriptors))

    def table(self) -> str:
        lines = [f"{'seconds':>8}  {'process':<12} {'RSS MiB':>8} {'descriptors':>11}"]
        lines += [f"{at:8.1f}  {name:<12} {kib / 1024:8.1f} {count:11}" for at, name, kib, count in self.rows]
        return "\n".join(lines)

    def largest_kib(self, name: str) -> int:
        return max(kib for _, of, kib, _ in self.rows if of == name)
