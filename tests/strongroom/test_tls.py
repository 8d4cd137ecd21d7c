"""TLS contexts: what they insist on, what they say about broken files, and following files that change."""

import contextlib
import datetime as dt
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from devstack.authority import Authority, IssuedFiles
from strongroom.errors import ConfigError
from strongroom.service.tls_reload import ReloadingServerContext
from strongroom.tls import client_context, server_context
from tests.support.looking import look_twice

ID = "spiffe://example.org/ns/shop/sa/api"
Make = Callable[[str, str, str], ssl.SSLContext]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def server_files(authority: Authority) -> IssuedFiles:
    return authority.issue_server("server")


@pytest.fixture
def client_files(authority: Authority) -> IssuedFiles:
    return authority.issue_client("client", identities=(ID,))


def context(make: Make, ca_file: Path, files: IssuedFiles) -> ssl.SSLContext:
    return make(str(ca_file), str(files.cert), str(files.key))


def talk(server: ssl.SSLContext, client: ssl.SSLContext, *, name: str = "localhost") -> tuple[bytes, str | None]:
    """Return the certificate that the server shows and the TLS version, after a byte went both ways."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_echo, args=(listener, server))
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), 60) as plain,
                client.wrap_socket(plain, server_hostname=name) as tls,
            ):
                tls.sendall(b"x")
                if tls.recv(1) != b"x":
                    raise ConnectionResetError
                return tls.getpeercert(binary_form=True) or b"", tls.version()
        finally:
            thread.join(60)


def _echo(listener: socket.socket, server: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError), server.wrap_socket(connection, server_side=True) as tls:
        tls.sendall(tls.recv(1))


def test_both_sides_agree_on_tls_1_3(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    server = context(server_context, authority.ca_file, server_files)
    client = context(client_context, authority.ca_file, client_files)
    assert talk(server, client)[1] == "TLSv1.3"
    assert talk(server, client, name="127.0.0.1")[1] == "TLSv1.3"


def test_a_server_with_another_name_is_refused(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    server = context(server_context, authority.ca_file, server_files)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        talk(server, context(client_context, authority.ca_file, client_files), name="elsewhere.example.org")


def test_a_common_name_is_no_name_of_a_server(authority: Authority, client_files: IssuedFiles) -> None:
    """A workload may have any; its only other name is its identity."""
    files = authority.issue_server("localhost", hosts=(), identities=(ID,))
    server = context(server_context, authority.ca_file, files)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        talk(server, context(client_context, authority.ca_file, client_files))


def test_an_expired_server_is_refused(authority: Authority, client_files: IssuedFiles) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    files = authority.issue_server("old", not_before=yesterday - dt.timedelta(days=1), not_after=yesterday)
    server = context(server_context, authority.ca_file, files)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        talk(server, context(client_context, authority.ca_file, client_files))


def test_an_older_version_is_refused_by_either_side(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    server = context(server_context, authority.ca_file, server_files)
    client = context(client_context, authority.ca_file, client_files)
    old_client = context(client_context, authority.ca_file, client_files)
    old_client.minimum_version = old_client.maximum_version = ssl.TLSVersion.TLSv1_2
    old_server = context(server_context, authority.ca_file, server_files)
    old_server.minimum_version = old_server.maximum_version = ssl.TLSVersion.TLSv1_2
    for pair in ((server, old_client), (old_server, client)):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            talk(*pair)


def test_a_client_without_certificate_is_refused(authority: Authority, server_files: IssuedFiles) -> None:
    server = context(server_context, authority.ca_file, server_files)
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        talk(server, ssl.create_default_context(cafile=str(authority.ca_file)))


BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("which", "content", "complaint"),
    [
        ("ca", None, "does not exist"),
        ("cert", None, "does not exist"),
        ("key", None, "does not exist"),
        ("ca", b"", "is not a PEM file with certificates"),
        ("ca", b"hello", "is not a PEM file with certificates"),
        ("cert", b"hello", "is not a PEM file with a certificate"),
        ("cert", BROKEN, "is not a PEM file with a certificate"),
        ("key", b"hello", "is not a PEM file with a private key"),
    ],
)
def test_a_broken_file_is_named(
    authority: Authority, client_files: IssuedFiles, which: str, content: bytes | None, complaint: str
) -> None:
    path = {"ca": authority.ca_file, "cert": client_files.cert, "key": client_files.key}[which]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for make in (client_context, server_context):
        with pytest.raises(ConfigError) as caught:
            context(make, authority.ca_file, client_files)
        assert caught.value.message == f"{path}: {complaint}"
        assert caught.value.hint


def test_a_directory_is_named(authority: Authority, client_files: IssuedFiles) -> None:
    with pytest.raises(ConfigError, match=f"{authority.directory}: is a directory"):
        context(client_context, authority.directory, client_files)


def test_a_key_of_another_certificate_is_named(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    mixed = IssuedFiles(cert=client_files.cert, key=server_files.key)
    with pytest.raises(ConfigError, match=r"server.key: is not the key of the certificate in .*client.crt"):
        context(client_context, authority.ca_file, mixed)


def test_an_encrypted_key_does_not_ask_on_the_terminal(authority: Authority, client_files: IssuedFiles) -> None:
    key = serialization.load_pem_private_key(client_files.key.read_bytes(), None)
    client_files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    with pytest.raises(ConfigError, match=r"client.key: the private key is encrypted"):
        context(client_context, authority.ca_file, client_files)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user who may not read the file")
def test_an_unreadable_file_is_named(authority: Authority, client_files: IssuedFiles) -> None:
    program = (
        "import os, sys\n"
        "from strongroom.tls import client_context\n"
        "from strongroom.errors import ConfigError\n"
        "os.setuid(65534)\n"
        "try:\n"
        "    client_context(*sys.argv[1:])\n"
        "except ConfigError as error:\n"
        "    print(error.message)\n"
    )
    for directory in [authority.directory, *authority.directory.parents]:
        if directory.stat().st_uid == os.getuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o011)
    authority.ca_file.chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-c", program, authority.ca_file, client_files.cert, client_files.key],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == f"{client_files.cert}: not readable by uid 65534 (Permission denied)\n"


def test_the_module_imports_nothing_that_ssl_does_not() -> None:
    program = (
        "import sys, ssl, os, strongroom.errors\nbefore = set(sys.modules)\nimport strongroom.tls\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['strongroom.pem_files', 'strongroom.tls']\n"


def reloading(authority: Authority, files: IssuedFiles, outcomes: list[bool]) -> ReloadingServerContext:
    return ReloadingServerContext(
        ca_file=authority.ca_file, cert_file=files.cert, key_file=files.key, observe=outcomes.append
    )


def test_a_new_certificate_is_shown_and_a_broken_one_is_not(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    outcomes: list[bool] = []
    server = reloading(authority, server_files, outcomes)
    client = context(client_context, authority.ca_file, client_files)
    first = talk(server.front, client)[0]
    look_twice(server.poll)
    assert talk(server.front, client)[0] == first
    authority.issue_server("server")
    assert talk(server.front, client)[0] == first
    look_twice(server.poll)
    second = talk(server.front, client)[0]
    assert second != first
    server_files.key.write_text("broken")
    look_twice(server.poll)
    assert talk(server.front, client)[0] == second
    assert "server.key" in server.error
    authority.issue_server("server")
    look_twice(server.poll)
    assert talk(server.front, client)[0] not in {first, second}
    assert server.error == ""
    assert outcomes == [True, False, True]


def test_a_certificate_in_a_form_that_only_openssl_takes_is_a_broken_edit(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    outcomes: list[bool] = []
    server = reloading(authority, server_files, outcomes)
    client = context(client_context, authority.ca_file, client_files)
    plain = server_files.cert.read_text()
    server_files.cert.write_text(
        plain.replace("-----BEGIN ", "-----BEGIN TRUSTED ").replace("-----END ", "-----END TRUSTED ")
    )

    look_twice(server.poll)

    assert "server.crt: is not a PEM file with certificates" in server.error
    assert outcomes == [False]
    talk(server.front, client)
    with pytest.raises(ConfigError, match="is not a PEM file"):
        reloading(authority, server_files, [])


def test_an_expired_certificate_is_not_taken(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    outcomes: list[bool] = []
    server = reloading(authority, server_files, outcomes)
    assert server.certificate.not_after > dt.datetime.now(dt.UTC).timestamp()
    first = talk(server.front, context(client_context, authority.ca_file, client_files))[0]
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    authority.issue_server("server", not_before=yesterday - dt.timedelta(days=1), not_after=yesterday)
    look_twice(server.poll)
    assert "server.crt: the certificate expired at" in server.error
    assert talk(server.front, context(client_context, authority.ca_file, client_files))[0] == first
    with pytest.raises(ConfigError, match="expired at"):
        reloading(authority, server_files, outcomes)
    assert outcomes == [False]


def test_the_same_goes_for_clients_that_send_no_name(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles
) -> None:
    server = reloading(authority, server_files, [])
    client = context(client_context, authority.ca_file, client_files)
    first = talk(server.front, client, name="127.0.0.1")[0]  # an address is not sent as a name (RFC 6066, section 3)
    authority.issue_server("server")
    look_twice(server.poll)
    assert talk(server.front, client, name="127.0.0.1")[0] != first


def test_another_authority_of_the_clients_counts_after_a_reload(
    authority: Authority, server_files: IssuedFiles, client_files: IssuedFiles, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    stranger = other.issue_client("stranger", identities=(ID,))
    clients_ca = tmp_path / "clients.crt"
    clients_ca.write_bytes(authority.ca_file.read_bytes())
    server = ReloadingServerContext(ca_file=clients_ca, cert_file=server_files.cert, key_file=server_files.key)
    known = context(client_context, authority.ca_file, client_files)
    unknown = context(client_context, authority.ca_file, stranger)
    talk(server.front, known)
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        talk(server.front, unknown)
    clients_ca.write_bytes(other.ca_file.read_bytes())
    look_twice(server.poll)
    talk(server.front, unknown)
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        talk(server.front, known)


def test_links_that_are_swapped_are_followed(authority: Authority, client_files: IssuedFiles, tmp_path: Path) -> None:
    """Kubernetes updates a mounted secret so: ..data is a link to the directory of all files."""
    volume = tmp_path / "volume"
    volume.mkdir()
    for generation in ("one", "two"):
        files = authority.issue_server(generation)
        (volume / generation).mkdir()
        files.cert.rename(volume / generation / "tls.crt")
        files.key.rename(volume / generation / "tls.key")
    (volume / "..data").symlink_to("one")
    for name in ("tls.crt", "tls.key"):
        (volume / name).symlink_to(f"..data/{name}")
    server = reloading(authority, IssuedFiles(cert=volume / "tls.crt", key=volume / "tls.key"), [])
    client = context(client_context, authority.ca_file, client_files)
    first = talk(server.front, client)[0]
    (volume / "..tmp").symlink_to("two")
    (volume / "..tmp").replace(volume / "..data")
    look_twice(server.poll)
    assert talk(server.front, client)[0] != first
