"""``python -m wrapper -- COMMAND``: the same as ``strongroom run -- COMMAND``."""

import sys

from strongroom.isolation import isolate

isolate("wrapper")
from wrapper.main import main  # noqa: E402 - not before the line above

sys.exit(main(sys.argv[1:]))
