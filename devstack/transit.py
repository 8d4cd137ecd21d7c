"""A transit engine in a development OpenBao, and what an S3 proxy needs to use keys of it."""

from pathlib import Path

from devstack.openbao import OpenBaoServer

MOUNT = "transit"


def offer_transit(
    openbao: OpenBaoServer, directory: Path, *, keys: tuple[str, ...], ttl: str = "1h"
) -> dict[str, object]:
    """Mount transit, make keys, and make an AppRole that may encrypt and decrypt with them.

    Args:
        openbao: the server, with AppRole mounted.
        directory: private directory for role id and secret id.
        keys: names of the keys to make.
        ttl: of the AppRole's tokens.

    Returns:
        Settings of a proxy that is to use them.
    """
    admin = openbao.admin
    admin.call("POST", f"sys/mounts/{MOUNT}", {"type": "transit"})
    rules = []
    for key in keys:
        admin.call("POST", f"{MOUNT}/keys/{key}", {"type": "aes256-gcm96"})
        rules += [f'path "{MOUNT}/{verb}/{key}" {{ capabilities = ["update"] }}\n' for verb in ("encrypt", "decrypt")]
    return openbao.login_for("s3proxy", "".join(rules), directory, ttl=ttl)


def rotate_key(openbao: OpenBaoServer, key: str) -> int:
    """Make a new version of a transit key and return its number."""
    admin = openbao.admin
    admin.call("POST", f"{MOUNT}/keys/{key}/rotate")
    data = admin.call("GET", f"{MOUNT}/keys/{key}")["data"]
    assert isinstance(data, dict)  # noqa: S101 - the API's contract
    return int(data["latest_version"])


def retire_versions(openbao: OpenBaoServer, key: str, *, below: int) -> None:
    """Let versions of a transit key below a number decrypt no more."""
    openbao.admin.call("POST", f"{MOUNT}/keys/{key}/config", {"min_decryption_version": below})
