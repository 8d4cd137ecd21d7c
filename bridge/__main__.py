"""``python -m bridge``."""

import sys

from strongroom.linux.process import keep_memory_private

keep_memory_private()
from bridge.main import main  # noqa: E402 - importing it takes a second, in which others could look into this process

sys.exit(main(sys.argv[1:]))
