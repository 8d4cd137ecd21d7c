"""A proxy that looks ten times as often at what it looks at by itself: ``python -m tests.recovery.hurried ARG...``.

Half a minute is nothing where a key was lost, and everything where a test waits for it.
"""

import sys

from s3proxy.keys import guard, lost_records, missing_policies
from s3proxy.main import main

TIMES = 10

if __name__ == "__main__":
    guard.CHECK_EVERY_S /= TIMES  # type: ignore[misc]
    lost_records.STILL_LOST_EVERY_S /= TIMES  # type: ignore[misc]
    lost_records.RETRY_S /= TIMES  # type: ignore[misc]
    missing_policies._RETRY_S /= TIMES  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
