"""A bridge on a disk whose fsync takes longer: ``python -m tests.support.bridge.slow_disk MILLISECONDS ARG...``."""

import os
import sys
import time
from typing import TYPE_CHECKING

from bridge.main import main

if TYPE_CHECKING:
    from _typeshed import HasFileno

_real = os.fsync


def _slow(fd: "int | HasFileno") -> None:
    time.sleep(int(sys.argv[1]) / 1000)
    _real(fd)


if __name__ == "__main__":
    os.fsync = _slow
    sys.exit(main(sys.argv[2:]))
