"""The drills of docs/recovery.md that are about the bridge, its login, its certificate and its disk."""

import datetime as dt
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.authority import write_private
from devstack.service import BridgeProcess
from devstack.stack import DevStack
from tests.install.page import PAGE as INSTALL
from tests.install.page import steps_of
from tests.recovery.reader import PROGRAMS, Reader
from tests.support.process.small_disk import small_disk

pytestmark = pytest.mark.timeout(600)

POLICY = '[[grant]]\nidentity = "spiffe://example.org/ns/shop/sa/*"\npaths = ["kv/shop/*"]\n'
ENDS_S = 10
CERTIFICATES = {"/root/strongroom-ca": "{}", "bridge.example.org": "localhost"}


class Stand:
    """An OpenBao, a bridge with certificates made as docs/install.md says, and a reader who has the page."""

    def __init__(self, stack: DevStack, directory: Path, disk: Path) -> None:
        self._directory = directory
        self._disk = disk
        self._stack = stack
        self.bridge: BridgeProcess
        environ = {
            "BAO_ADDR": stack.openbao.address,
            "BAO_CACERT": str(stack.openbao.ca_file),
            "BAO_TOKEN": stack.openbao.admin.token,
        }
        self.reader = Reader(
            directory / "bin",
            environ=environ,
            places=self._places,
            logs={"strongroom-bridge": directory / "bridge.log"},
            restart=self._restart,
        )

    def drill(self, section: str) -> None:
        os.truncate(self.bridge.log_file, 0)
        self.reader.follow(section)

    def end_soon(self, issued: str, target: str) -> None:
        """Issue a certificate anew that ends while the bridge runs; nothing on the page can hurry that."""
        key = serialization.load_pem_private_key((self._directory / "ca.key").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        before = x509.load_pem_x509_certificate((self._directory / issued).read_bytes())
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(
            issuer_name=before.issuer,
            subject_name=before.subject,
            public_key=before.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - dt.timedelta(days=90),
            not_valid_after=now + dt.timedelta(seconds=ENDS_S),
            extensions=list(before.extensions),
        )
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        write_private(self._directory / target, pem)

    def _restart(self) -> None:
        self.bridge.stop()
        self.bridge.restart()

    def _places(self) -> Mapping[str, str]:
        bridge = self.bridge
        return {
            "/opt/strongroom/current/bin": PROGRAMS,
            "/etc/strongroom/credentials/bridge.": f"{self._stack.directory}/",
            "https://bridge.example.org:8443": f"https://localhost:{bridge.address.rpartition(':')[2]}",
            "http://127.0.0.1:8080": f"http://{bridge.health_address}",
            "/etc/strongroom/shop-api/ca.crt": f"{self._directory}/shop-ca.crt",
            "/etc/strongroom/s3proxy/ca.crt": f"{self._directory}/s3proxy-ca.crt",
            "/etc/strongroom/bridge/ca.crt": f"{self._directory}/bridge-ca.crt",
            "/etc/strongroom/shop-api/tls": f"{self._directory}/shop-api",
            "/etc/strongroom/bridge/": f"{self._directory}/",
            "/var/log/strongroom-bridge": str(self._disk),
            " -g strongroom-bridge": "",
            **{name: place.format(self._directory) for name, place in CERTIFICATES.items()},
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    directory = tmp_path_factory.mktemp("bridge")
    (directory / "disk").mkdir()
    with DevStack(tmp_path_factory.mktemp("stack")) as stack, small_disk(directory / "disk", "256k") as disk:
        stack.openbao.admin.put_v2("kv", "shop/db", {"password": "p@ss/w:rd#1"})
        yield from _running(stack, directory, disk)


def _running(stack: DevStack, directory: Path, disk: Path) -> Iterator[Stand]:
    stand = Stand(stack, directory, disk)
    authority = next(step.commands for step in steps_of(INSTALL.read_text()) if "openssl.cnf" in step.commands)
    for name, place in CERTIFICATES.items():
        authority = authority.replace(name, place.format(directory))
    subprocess.run(["bash", "-e", "-c", authority], check=True, capture_output=True)
    copies = {"tls.crt": "bridge.crt", "tls.key": "bridge.key", "bridge-ca.crt": "ca.crt", "shop-ca.crt": "ca.crt"}
    for copy, original in copies.items():
        (directory / copy).write_bytes((directory / original).read_bytes())
    (directory / "policy.toml").write_text(POLICY)
    settings = stack.bridge_settings | {
        "tls_cert_file": str(directory / "tls.crt"),
        "tls_key_file": str(directory / "tls.key"),
        "client_ca_file": str(directory / "bridge-ca.crt"),
        "policy_file": str(directory / "policy.toml"),
        "audit_file": str(disk / "audit.jsonl"),
    }
    with BridgeProcess(directory, settings) as stand.bridge:
        yield stand


def test_a_locked_role_is_named_and_unlocked(world: Stand) -> None:
    world.drill("The AppRole is locked")


def test_a_full_disk_under_the_audit_file_heals_without_a_restart(world: Stand) -> None:
    world.drill("The disk under the audit file is full")


def test_a_certificate_that_has_ended_is_renewed_while_the_bridge_runs(world: Stand) -> None:
    world.end_soon("bridge.crt", "tls.crt")
    world.drill("The bridge's certificate has ended")


def test_an_authority_that_has_ended_is_issued_anew_with_its_key(world: Stand) -> None:
    world.end_soon("ca.crt", "bridge-ca.crt")
    world.end_soon("ca.crt", "shop-ca.crt")
    world.drill("The authority has ended")
