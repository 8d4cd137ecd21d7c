"""The S3 proxy on one machine: a real SeaweedFS, a transit key in a real OpenBao, and a proxy between them."""

import contextlib
from pathlib import Path
from typing import Self

from devstack.authority import write_private
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from devstack.transit import offer_transit

KEY = "demo"
POLICY = f"""\
[[policy]]
name = "demo"
kek = "transit:{KEY}"
buckets = ["*"]
"""


class S3Stack:
    """Started when the block is entered, gone when it is left.

    Attributes:
        store: the store, which sees ciphertext.
        proxy: the proxy in front of it; ``proxy.config_file`` has its settings.
        profile_file: credentials of its client, for the AWS tools.
    """

    store: SeaweedServer
    proxy: ProxyProcess

    def __init__(self, directory: Path, openbao: OpenBaoServer) -> None:
        """Take a private directory, and the server that keeps the key; AppRole is mounted there."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.profile_file = directory / "aws-credentials"
        self._openbao = openbao
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything.

        Raises:
            StrongroomError: something does not start; what was started is stopped again.
        """
        with self._stack:
            self.store = self._stack.enter_context(SeaweedServer(self.directory / "store"))
            login = offer_transit(self._openbao, self.directory / "login", keys=(KEY,))
            self.proxy = self._stack.enter_context(
                ProxyProcess(self.directory / "s3proxy", self.store, policy=POLICY, settings=login)
            )
            profile = (
                f"[default]\naws_access_key_id = {self.proxy.access_key}\n"
                f"aws_secret_access_key = {self.proxy.secret_key}\n"
            )
            write_private(self.profile_file, profile.encode())
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the proxy first."""
        self._stack.close()

    def exports(self) -> dict[str, str]:
        """Return the variables that AWS's tools and SDKs need; none of them is a secret."""
        return {
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.profile_file),
            "AWS_REGION": REGION,
        }
