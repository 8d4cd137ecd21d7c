"""A launch from the bundle in images that have no Python, as nobody, without privileges, with a read-only root."""

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.bundle.conftest import SECRET
from tests.bundle.roots import (
    BUNDLE,
    LAUNCHER,
    MEMLOCK_BYTES,
    NOBODY,
    ROOTS,
    Image,
    make_root,
    mapped_files,
    scratch,
    start_by_runc,
    start_by_unshare,
    status_of,
)
from tests.support.bridge.fake import FakeBridge, bundle, read_request
from tests.support.process.privileges import is_root
from tests.support.process.waiting import wait_for
from tests.support.tls.certificates import Certificates

pytestmark = pytest.mark.skipif(not is_root(), reason="making images and containers needs root")

STARTERS = {"unshare": start_by_unshare, "runc": start_by_runc}


@pytest.mark.parametrize("starter", STARTERS)
@pytest.mark.parametrize("name", ROOTS)
def test_the_application_is_pid_1_and_alone_has_the_secret(
    images: Mapping[str, Image], references: Mapping[str, str], name: str, starter: str
) -> None:
    command = [LAUNCHER, "run", "--", "/show"]
    with STARTERS[starter](images[name], command, references) as container:
        assert container.read_line() == SECRET, container.finish()
        status = status_of(container.pid)
        environ = Path(f"/proc/{container.pid}/environ").read_bytes()
        limits = Path(f"/proc/{container.pid}/limits").read_text()
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text()
        program = str(Path(f"/proc/{container.pid}/exe").readlink())
        from_bundle = {path for path in mapped_files(container.pid) if path.startswith(BUNDLE)}
        assert container.finish()[:2] == (7, "")
    assert program.endswith("/show")
    assert not children, "no helper is left"
    assert SECRET.encode() not in environ
    assert b"bao:" not in environ
    assert {path.rpartition("/")[2] for path in from_bundle} <= {"libstrongroom.so"}
    # What was promised about the surroundings of this test.
    assert status["NSpid"].split()[1:] == ["1"]
    assert status["Uid"].split() == [str(NOBODY)] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert any(line.split()[3:5] == [str(MEMLOCK_BYTES)] * 2 for line in limits.splitlines() if "locked" in line)


def test_a_shell_entrypoint_of_a_debian_image(images: Mapping[str, Image], references: Mapping[str, str]) -> None:
    command = [LAUNCHER, "run", "--", "/bin/bash", "-c", "exec /usr/bin/env"]
    with start_by_unshare(images["debian"], command, references) as container:
        status, output, _ = container.finish()
    assert status == 0
    assert f"SECRET={SECRET}" in output.splitlines()


@pytest.mark.parametrize("starter", STARTERS)
def test_a_static_program_behind_an_entrypoint(
    images: Mapping[str, Image], references: Mapping[str, str], starter: str
) -> None:
    command = [LAUNCHER, "run", "--", "/entrypoint.sh", "/show-static"]
    with STARTERS[starter](images["debian"], command, references) as container:
        assert container.read_line() == SECRET, container.finish()
        status = status_of(container.pid)
        environ = Path(f"/proc/{container.pid}/environ").read_bytes()
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text()
        program = str(Path(f"/proc/{container.pid}/exe").readlink())
        assert container.finish()[:2] == (7, "")
    assert program.endswith("/show-static")
    assert status["NSpid"].split()[1:] == ["1"]
    assert status["TracerPid"] == "0"
    assert not children, "no tracer is left"
    assert b"SECRET=\0" in environ
    assert SECRET.encode() not in environ


def test_the_image_is_read_only(images: Mapping[str, Image]) -> None:
    command = [LAUNCHER, "run", "--", "/bin/bash", "-c", f"echo x >/new || echo x >{BUNDLE}/new || echo refused"]
    with start_by_unshare(images["debian"], command, {}) as container:
        assert container.read_line() == "refused"


def test_the_interpreter_maps_nothing_of_the_image(images: Mapping[str, Image], certificates: Certificates) -> None:
    asked = threading.Event()

    def hang(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        asked.set()
        bridge.until_stopped()

    with FakeBridge(certificates.server(), hang) as bridge:
        environ = {"SECRET": "bao:kv/shop/db#password", "STRONGROOM_BRIDGE": bridge.url}
        with start_by_unshare(images["debian"], [LAUNCHER, "run", "--", "/show"], environ) as container:
            assert asked.wait(60)
            mapped = mapped_files(container.pid)
    assert f"{BUNDLE}/lib/ld.so" in mapped
    assert {path for path in mapped if not path.startswith(f"{BUNDLE}/")} == set()


def test_configuration_of_the_image_for_its_own_libraries_is_not_read(
    place: Path, images: Mapping[str, Image], certificates: Certificates
) -> None:
    root = scratch(place / "hostile")
    (root / "usr/lib/ssl").mkdir(parents=True)
    (root / "usr/lib/ssl/openssl.cnf").write_text(
        "openssl_conf = x\n[x]\nproviders = y\n[y]\nz = z\n[z]\nmodule = /z\n"
    )
    (root / "etc/ssl").mkdir()
    (root / "etc/ssl/openssl.cnf").symlink_to("/usr/lib/ssl/openssl.cnf")
    (root / "etc/ld.so.preload").write_text("/no/such/library.so\n")
    (root / "etc/ld.so.cache").write_bytes(b"\xff" * 64)
    (root / "etc/nsswitch.conf").write_text("hosts: nobody\n")
    (root / "etc/hosts").write_text("127.0.0.1 bridge.test\n")
    image = Image(root, images["scratch"].bundle, images["scratch"].tls)
    with FakeBridge(certificates.server("bridge.test"), bundle({"SECRET": SECRET.encode()})) as bridge:
        environ = {
            "SECRET": "bao:kv/shop/db#password",
            "STRONGROOM_BRIDGE": f"https://bridge.test:{bridge.port}",
            "OPENSSL_CONF": "/etc/ssl/openssl.cnf",
            "LD_PRELOAD": "/no/such/library.so",
            "LC_ALL": "tr_TR.ISO-8859-9",
            "STRONGROOM_QUIET": "1",
        }
        with start_by_runc(image, [LAUNCHER, "run", "--", "/show"], environ) as container:
            assert container.read_line() == SECRET, container.finish()
            assert container.finish() == (7, "", "")


def test_an_image_in_which_proc_is_not_mounted(images: Mapping[str, Image], references: Mapping[str, str]) -> None:
    with start_by_unshare(images["musl"], [LAUNCHER, "run", "--", "/show"], references, proc=False) as container:
        assert container.read_line() == SECRET, container.finish()


def test_a_relative_path_without_proc(images: Mapping[str, Image]) -> None:
    command = [f".{LAUNCHER}", "run", "--", "/show"]
    with start_by_unshare(images["musl"], command, {"SECRET": "plain"}, proc=False) as container:
        assert container.read_line() == "plain", container.finish()


def test_a_symbolic_link_without_proc(place: Path, images: Mapping[str, Image]) -> None:
    root = make_root(place / "linked")
    (root / "bin").mkdir()
    (root / "bin/one").symlink_to("two")
    (root / "bin/two").symlink_to(f"..{LAUNCHER}")
    image = Image(root, images["musl"].bundle, images["musl"].tls)
    with start_by_unshare(image, ["/bin/one", "version"], {}, proc=False) as container:
        assert container.read_line().startswith("strongroom "), container.finish()


def test_a_supervised_launch(images: Mapping[str, Image], references: Mapping[str, str]) -> None:
    command = [LAUNCHER, "run", "--supervise", "--", "/show"]
    with start_by_unshare(images["musl"], command, references) as container:
        assert container.read_line() == SECRET, container.finish()
        first = str(Path(f"/proc/{container.pid}/exe").readlink())
        assert container.finish()[0] == 7
    assert first.endswith("/strongroom-init")


def test_under_the_init_program_of_the_bundle(images: Mapping[str, Image], references: Mapping[str, str]) -> None:
    (init,) = images["musl"].bundle.rglob("strongroom-init")
    inside = f"{BUNDLE}/{init.relative_to(images['musl'].bundle)}"
    command = [inside, "--", LAUNCHER, "run", "--", "/show"]
    with start_by_unshare(images["musl"], command, references) as container:
        assert container.read_line() == SECRET, container.finish()
        first = str(Path(f"/proc/{container.pid}/exe").readlink())
        wait_for(lambda: Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text(), "the child")
        assert container.finish()[0] == 7
    assert first.endswith("/strongroom-init")
