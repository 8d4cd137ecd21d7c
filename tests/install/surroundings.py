"""What a reader of docs/install.md has already: an OpenBao and an S3 store over TLS, their names, an aws command."""

import json
import os
import secrets
import subprocess
import time
import urllib.request
from pathlib import Path

PLACE = Path("/srv/surroundings")
NAMES = ("openbao.example.org", "store.example.org", "bridge.example.org", "s3.example.org")
PATIENCE_S = 120.0


def make_names() -> None:
    """Have the names of the page lead here."""
    with Path("/etc/hosts").open("a", encoding="ascii") as hosts:
        hosts.write(f"127.0.0.1 {' '.join(NAMES)}\n")


def start(clone: Path) -> dict[str, str]:
    """Start OpenBao and the store, and return the variables of anyone who administrates them.

    Args:
        clone: where the authorities of both are put, as ``openbao-ca.crt`` and ``store-ca.crt``.
    """
    _run("apt-get", "install", "-q", "-y", "--no-install-recommends", "awscli", "systemd")
    for name in ("openbao", "store"):
        _run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}.example.org",
            "-keyout", str(PLACE / f"{name}.key"), "-out", str(PLACE / f"{name}.crt"),
        )  # fmt: skip
        (clone / f"{name}-ca.crt").write_bytes((PLACE / f"{name}.crt").read_bytes())
    return {**_start_store(), **_start_openbao()}


def _start_openbao() -> dict[str, str]:
    configuration = {
        "storage": {"inmem": {}},
        "listener": {
            "tcp": {
                "address": "127.0.0.1:8200",
                "tls_cert_file": str(PLACE / "openbao.crt"),
                "tls_key_file": str(PLACE / "openbao.key"),
            }
        },
        "api_addr": "https://openbao.example.org:8200",
        "cluster_addr": "https://127.0.0.1:8201",
    }
    (PLACE / "openbao.json").write_text(json.dumps(configuration))
    _spawn("openbao", "bao", "server", f"-config={PLACE / 'openbao.json'}")
    environ = {"BAO_ADDR": "https://openbao.example.org:8200", "BAO_CACERT": str(PLACE / "openbao.crt")}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        command = ["bao", "operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]
        made = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)
        if made.returncode == 0:
            break
        assert time.monotonic() < deadline, made.stderr
        time.sleep(0.1)
    document = json.loads(made.stdout)
    environ["BAO_TOKEN"] = document["root_token"]
    _run("bao", "operator", "unseal", document["unseal_keys_b64"][0], env=os.environ | environ)
    return environ


def _start_store() -> dict[str, str]:
    # Ports of its own, below those of devstack: other tests run beside this one, in the same network.
    credentials = {"accessKey": "STORE" + secrets.token_hex(6), "secretKey": secrets.token_urlsafe(24)}
    user = {
        "name": "strongroom",
        "credentials": [credentials],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (PLACE / "s3.json").write_text(json.dumps({"identities": [user]}))
    (PLACE / "data").mkdir()
    _spawn(
        "store", "weed", "-logtostderr=true", "server", f"-dir={PLACE / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3", "-s3.port=13333", "-s3.port.https=8333", f"-s3.config={PLACE / 's3.json'}", "-s3.port.iceberg=0",
        f"-s3.cert.file={PLACE / 'store.crt'}", f"-s3.key.file={PLACE / 'store.key'}", "-s3.autoCreateBucket=false",
        "-master.electionTimeout=1s", "-master.heartbeatInterval=100ms", "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.port=13334", "-volume.port=13335",
        "-filer.port=13336", "-s3.port.grpc=13343", "-master.port.grpc=13344", "-volume.port.grpc=13345",
        "-filer.port.grpc=13346", "-s3.port.lance=0",
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while not all(
        _answers(url) for url in ("http://127.0.0.1:13333/healthz", "http://127.0.0.1:13334/dir/assign?count=1")
    ):
        assert time.monotonic() < deadline, (PLACE / "store.log").read_text()[-2000:]
        time.sleep(0.1)
    return {"STORE_ACCESS_KEY_ID": credentials["accessKey"], "STORE_SECRET_ACCESS_KEY": credentials["secretKey"]}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _spawn(name: str, *command: str) -> None:
    with (PLACE / f"{name}.log").open("wb") as log:
        environ = os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, cwd=PLACE)


def _run(*command: str, env: "os._Environ[str] | dict[str, str] | None" = None) -> None:
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert made.returncode == 0, f"{command}: {made.stdout}{made.stderr}"
