"""``python -m cli``: the same as ``strongroom``."""

import sys

from strongroom.isolation import isolate

isolate("cli")
from cli.main import main  # noqa: E402 - not before the line above

sys.exit(main())
