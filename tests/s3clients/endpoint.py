"""What a client is told: an endpoint and credentials, and nothing else."""

from dataclasses import dataclass
from pathlib import Path

from devstack.seaweed import REGION


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An S3 endpoint with a bucket. ``ca_file`` is the authority of its certificate, None for plain HTTP."""

    store: str
    url: str
    access_key: str
    secret_key: str
    bucket: str
    ca_file: Path | None

    @property
    def host(self) -> str:
        """HOST:PORT."""
        return self.url.rpartition("/")[2]

    def environ(self, home: Path) -> dict[str, str]:
        """Return an environment in which every SDK finds this endpoint, and nothing of the machine's own settings."""
        given = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,  # botocore
            "AWS_REGION": REGION,  # JavaScript
        }
        if self.ca_file is None:
            return given
        authorities = str(self.ca_file)
        # By name: botocore, node, Go. s3cmd has it in its configuration.
        return given | dict.fromkeys(("AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"), authorities)
