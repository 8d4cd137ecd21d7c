"""``python -m bridge``."""

import sys

from bridge.main import main

sys.exit(main(sys.argv[1:]))
