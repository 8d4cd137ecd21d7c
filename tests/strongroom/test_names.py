"""The names that several parts share, and that each part goes by this one table."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.resolve import Place, resolve
from bridge.settings import BridgeSettings
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.whole_path import FromPath
from strongroom.names import COMPONENTS, PREFIX, is_of_component, is_service_link, steers_the_process
from strongroom.openbao.kv import Reading
from strongroom.service.command import Arguments, load_settings
from strongroom.service.settings import settings_in
from wrapper.plan import plan_launch
from wrapper.settings import SETTINGS
from wrapper.settings import load_settings as load_wrapper_settings

SERVICES = ["STRONGROOM", "STRONGROOM_S3", "STRONGROOM_OPENBAO", "STRONGROOM_BRIDGE", "STRONGROOM_CA", "SHOP"]
ADDRESS = "tcp://10.96.3.7:8443"


def links_of(service: str) -> dict[str, str]:
    """Return what Kubernetes sets for a Service with a named port."""
    port = f"{service}_PORT_8443_TCP"
    return {
        f"{service}_SERVICE_HOST": "10.96.3.7",
        f"{service}_SERVICE_PORT": "8443",
        f"{service}_SERVICE_PORT_HTTPS": "8443",
        f"{service}_PORT": ADDRESS,
        port: ADDRESS,
        f"{port}_PROTO": "tcp",
        f"{port}_PORT": "8443",
        f"{port}_ADDR": "10.96.3.7",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_each_variable_of_a_service_is_known_as_one(service: str) -> None:
    assert all(is_service_link(name, value) for name, value in links_of(service).items())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRONGROOM_BRIDGE", "https://bridge:8443"),
        ("STRONGROOM_BRIDGE_PORT", "8443"),
        ("STRONGROOM_SERVICE", "x"),
        ("STRONGROOM_PORT_8443", "x"),
        ("STRONGROOM_PORT_HTTPS_TCP", "x"),
        ("PORT_8443_TCP", "x"),
        ("STRONGROOM_8443_TCP_PORT", "x"),
        ("", ""),
    ],
)
def test_what_kubernetes_does_not_set_is_no_service_link(name: str, value: str) -> None:
    assert not is_service_link(name, value)


def test_no_setting_of_ours_is_mistaken_for_a_service_link() -> None:
    servers = {"BRIDGE": BridgeSettings, "S3PROXY": ProxySettings}
    names = [setting.variable for setting in SETTINGS]
    names += [f"{PREFIX}{part}_{field.upper()}" for part, kind in servers.items() for field in settings_in(kind)]

    assert not [name for name in names if is_service_link(name, "true") or is_service_link(name, "8443")]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_of_any_name_of_ours_stops_neither_launch_nor_server(service: str) -> None:
    assert load_wrapper_settings({}, links_of(service)).bridge == ""
    with pytest.raises(ConfigError, match="must be set"):  # not: there is no such setting
        load_settings(BridgeSettings, prefix="STRONGROOM_BRIDGE_", arguments=Arguments({}), environ=links_of(service))


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("setting", ["LISTEN", "TIMEOUT", "CA", "TLS_KEY_FILE", "STOP_TIMEOUT"])
def test_settings_of_a_component_do_not_stop_a_launch(component: str, setting: str) -> None:
    name = f"STRONGROOM_{component}_{setting}"

    assert is_of_component(name)
    assert load_wrapper_settings({}, {name: "x"}).passed_over == []


@pytest.mark.parametrize("name", ["STRONGROOM_LEDGER_LISTEN", "STRONGROOM_GATE_TIMEOUT", "STRONGROOM_HSM_PIN_FILE"])
def test_a_component_that_this_version_does_not_know_does_not_stop_a_launch_and_is_named(name: str) -> None:
    assert load_wrapper_settings({}, {name: "x"}).passed_over == [name]


@pytest.mark.parametrize(
    "name",
    [
        "STRONGROOM_CHILDEN",
        "STRONGROOM_CHILDREN_POLICY",
        "STRONGROOM_NO_CHILDREN",
        "STRONGROOM_ATEMPT_TIMEOUT",
        "STRONGROOM_REQUIRE_LEVEL",
        "STRONGROOM_SAVE_LUNCH",
        "STRONGROOM_FOO",
        "STRONGROOM_",
    ],
)
def test_a_mistyped_setting_stops_the_launch(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: unknown setting"):
        load_wrapper_settings({}, {name: "deny"})


def by_the_bridge(key: str) -> bool:
    """Return whether the bridge lets a key of a whole path become a variable."""
    request = BundleRequest([], [FromPath("kv/env")], frozenset())
    reading = Reading(1, {key: "x"})
    return not resolve(request, {Place("kv/env", 0): reading}, lambda _path, _key: None, kept_bytes=1000).failures


def by_the_wrapper(key: str) -> bool:
    try:
        plan_launch({"STRONGROOM_FROM_PATH": "bao:kv/env"}).environment([key])
    except ConfigError:
        return False
    return True


@given(
    st.sampled_from(["LD_", "DYLD_", "MALLOC_", "STRONGROOM_", "GCONV_", "RES_", "TZ", "", "X_"])
    .flatmap(lambda start: st.from_regex(r"[A-Z_]{1,12}", fullmatch=True).map(lambda end: start + end))
    .map(lambda name: name if not name[0].isdigit() else f"_{name}")
)
@example("GLIBC_TUNABLES")
@example("GCONV_PATH")
@example("RESOLV_HOST_CONF")
@example("TMPDIR")
@example("MALLOC_CONF")
@example("PATH")
def test_bridge_and_wrapper_let_the_same_keys_of_a_whole_path_through(name: str) -> None:
    assert by_the_bridge(name) == by_the_wrapper(name) == (not steers_the_process(name))
