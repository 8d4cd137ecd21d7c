"""Where the clients of the matrix stand: .venv, .venv/s3clients, which ``install`` makes, and Debian's programs."""

import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT

PLACE = ROOT / ".venv/s3clients"
PYTHON = PLACE / "bin/python"  # has aiobotocore, s3fs and moto
NODE = PLACE / "bin/node"
NODE_PACKAGES = PLACE / "node_modules/"
OWN_PYTHON = Path(sys.executable)  # has boto3
RCLONE = Path(sys.executable).with_name("rclone")
AWS = Path("/usr/bin/aws")
S3CMD = Path("/usr/bin/s3cmd")


def install() -> None:
    """Bring ``.venv/s3clients`` up to date; quick when it is."""
    subprocess.run([ROOT / "tests/s3clients/install"], check=True)
