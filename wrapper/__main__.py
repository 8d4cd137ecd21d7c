"""``python -m wrapper -- COMMAND``: the same as ``strongroom run -- COMMAND``."""

import sys

from wrapper.main import main

sys.exit(main(sys.argv[1:]))
