"""``python -m cli``: the same as ``strongroom``."""

import sys

from cli.main import main

sys.exit(main())
