"""A transit engine in a development OpenBao, and what an S3 proxy needs to use keys of it."""

from pathlib import Path

from devstack.authority import write_private
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
    admin.write_policy("strongroom-s3proxy", "".join(rules))
    role_id, secret_id = admin.create_role("s3proxy", policies=["strongroom-s3proxy"], ttl=ttl)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(directory / "role-id", role_id.encode())
    write_private(directory / "secret-id", secret_id.encode())
    return {
        "openbao_address": openbao.address,
        "openbao_ca_file": str(openbao.ca_file),
        "openbao_role_id_file": str(directory / "role-id"),
        "openbao_secret_id_file": str(directory / "secret-id"),
    }


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
