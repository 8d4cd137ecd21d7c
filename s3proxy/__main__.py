"""``python -m s3proxy``."""

import sys

from s3proxy.main import main

sys.exit(main(sys.argv[1:]))
