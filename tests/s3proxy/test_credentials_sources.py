"""Where credentials come from, theirs and ours, and what happens when they change or break while the proxy runs."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit
from s3proxy.settings import ProxySettings
from s3proxy.store.credentials import follow_store_credentials
from strongroom.errors import ConfigError
from strongroom.service.command import load_settings, parse_arguments
from tests.s3proxy.conftest import client_of
from tests.support.looking import look_twice
from tests.support.process.waiting import wait_for

CLIENTS = """
[[credential]]
access_key_id = "{name}"
secret_key = "0123456789abcdef-{name}"

[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]
"""


def secret_of(name: str) -> str:
    return f"0123456789abcdef-{name}"


def settings_of(directory: Path, **given: object) -> ProxySettings:
    given = {"credentials_file": directory / "c", "policy_file": directory / "p", "store_address": "http://x", **given}
    flags = [f"--{name}={value}" for name, value in given.items()]
    return load_settings(ProxySettings, prefix="", arguments=parse_arguments(flags), environ={})


def readiness(proxy: ProxyProcess) -> dict[str, Any]:
    connection = http.client.HTTPConnection(proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        document: dict[str, Any] = json.loads(connection.getresponse().read())
    return document


def may_list(proxy: ProxyProcess, name: str) -> bool:
    with contextlib.closing(client_of(proxy.url, name, secret_of(name))) as s3:
        try:
            s3.list_buckets()
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidAccessKeyId":
                raise
            return False
        return True


def test_clients_follow_their_file_and_a_broken_edit_keeps_them(tmp_path: Path, store: SeaweedServer) -> None:
    with ProxyProcess(tmp_path / "proxy", store, settings={"reload_interval_s": 0.05}) as proxy:
        file = proxy.directory / "credentials.toml"
        file.write_text(CLIENTS.format(name="first"))
        wait_for(lambda: may_list(proxy, "first"), "the first client to be let in")
        file.write_text(CLIENTS.format(name="second"))
        wait_for(lambda: not may_list(proxy, "first"), "the first client to be refused")
        assert may_list(proxy, "second")
        file.write_text("[[credential]]\n" + secret_of("planted"))
        wait_for(lambda: readiness(proxy)["credentials"]["detail"], "the broken edit to be told")
        assert may_list(proxy, "second")
        assert readiness(proxy)["ready"]
        assert secret_of("planted") not in proxy.log_file.read_text() + json.dumps(readiness(proxy))
        file.write_text("")
        wait_for(lambda: "holds no" in str(readiness(proxy)["credentials"]["detail"]), "the empty file to be told")
        assert may_list(proxy, "second")


def test_policies_follow_their_file_and_a_broken_edit_keeps_them(tmp_path: Path, store: SeaweedServer) -> None:
    with (
        ProxyProcess(tmp_path / "proxy", store, settings={"reload_interval_s": 0.05}) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        with contextlib.suppress(s3.exceptions.BucketAlreadyExists, s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="sources")
        file = proxy.directory / "policy.toml"
        whole = file.read_text()
        for broken in ("[[policy]", whole.replace('"file"', '"transit:nowhere"')):
            file.write_text(broken)
            wait_for(lambda: readiness(proxy)["policy"]["detail"], "the broken edit to be told")
            s3.put_object(Bucket="sources", Key="k", Body=b"x")
            file.write_text(whole + "\n")
            wait_for(lambda: not readiness(proxy)["policy"]["detail"], "the mended file to be read")
        file.write_text(whole.replace('["*"]', '["others-*"]'))

        def refused() -> bool:
            try:
                s3.put_object(Bucket="sources", Key="k", Body=b"x")
            except ClientError as error:
                return bool(error.response["Error"]["Code"] == "AccessDenied")
            return False

        wait_for(refused, "the bucket to be covered no more")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenBaoServer, Mapping[str, object]]]:
    directory = tmp_path_factory.mktemp("sources")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as openbao:
        openbao.admin.enable_approle()
        openbao.admin.enable_kv("kv", version=2)
        login = offer_transit(openbao, directory / "login", keys=("unused",))
        openbao.admin.write_policy("strongroom-s3proxy", 'path "kv/data/s3/*" { capabilities = ["read"] }')
        yield openbao, login


def test_both_kinds_of_credentials_are_read_from_openbao(
    tmp_path: Path, store: SeaweedServer, kept: tuple[OpenBaoServer, Mapping[str, object]]
) -> None:
    openbao, login = kept
    openbao.admin.put_v2("kv", "s3/clients", {"credentials": CLIENTS.format(name="kept")})
    own = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
    openbao.admin.put_v2("kv", "s3/store", own)
    settings = {
        **login,
        "credentials_file": "",
        "credentials_secret": "bao:kv/s3/clients",
        "store_credentials": "bao:kv/s3/store",
        "store_credentials_file": "",
    }
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        assert may_list(proxy, "kept")
        assert not may_list(proxy, "other")
        log = proxy.log_file.read_text()
        assert secret_of("kept") not in log
        assert store.secret_key not in log


def test_credentials_that_are_not_there_yet_are_waited_for(
    tmp_path: Path, store: SeaweedServer, kept: tuple[OpenBaoServer, Mapping[str, object]]
) -> None:
    openbao, login = kept
    settings = {**login, "credentials_file": "", "credentials_secret": "bao:kv/s3/late", "reload_interval_s": 0.05}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        with (
            contextlib.closing(client_of(proxy.url, "late", secret_of("late"))) as s3,
            pytest.raises(ClientError) as caught,
        ):
            s3.list_buckets()
        assert caught.value.response["Error"]["Code"] == "SlowDown"
        assert "there is no secret at kv/s3/late" in readiness(proxy)["credentials"]["detail"]
        openbao.admin.put_v2("kv", "s3/late", {"credentials": CLIENTS.format(name="late")})
        wait_for(lambda: not readiness(proxy)["credentials"]["detail"], "the secret to be read")
        assert may_list(proxy, "late")


def test_the_store_credentials_come_from_the_environment_or_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t1")
    found = follow_store_credentials(settings_of(tmp_path, store_credentials="env").storage.store, None).value
    assert (found.access_key_id, found.secret_key.reveal()) == ("from-environment", b"s1")
    assert found.session_token is not None
    assert found.session_token.reveal() == b"t1"

    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = d\n[work]\naws_access_key_id = w\naws_secret_access_key = s2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    credentials = follow_store_credentials(settings_of(tmp_path, store_credentials="profile:work").storage.store, None)
    assert credentials.value.access_key_id == "w"
    file.write_text("[work]\naws_access_key_id = w2\naws_secret_access_key = s3\n")
    look_twice(credentials.poll)
    assert (credentials.value.access_key_id, credentials.error) == ("w2", "")
    file.write_text("[work]\naws_access_key_id = w3\n")
    look_twice(credentials.poll)
    assert credentials.value.access_key_id == "w2"
    assert "profile work" in credentials.error


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"store_credentials": "profile:none"}, "profile none"),
        ({"store_credentials": "bao:kv/s3/store"}, "openbao_address is not set"),
    ],
)
def test_credentials_that_cannot_be_found_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, object], text: str
) -> None:
    (tmp_path / "credentials").write_text("")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(ConfigError, match=text):
        follow_store_credentials(settings_of(tmp_path, **given).storage.store, None)


@pytest.mark.parametrize(
    "given",
    [
        {"store_credentials": "AKIAEXAMPLE:secret"},
        {"store_credentials": "env", "store_credentials_file": "x"},
        {"store_credentials": "file"},
        {"credentials_secret": "bao:kv/x", "store_credentials": "env"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        settings_of(tmp_path, **given)
