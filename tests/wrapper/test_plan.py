import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError, IntegrityError
from strongroom.launch.bundle import encode_request
from strongroom.launch.reference import Reference
from strongroom.names import is_read_early, is_service_link, steers_the_process
from wrapper.plan import plan_launch

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(lambda name: not is_read_early(name))
PLAIN = st.text().filter(lambda text: not text.startswith(("bao:", "vault:")) and "${" not in text)
VALUES = PLAIN | st.sampled_from(["bao:kv/a#k", "x${vault:kv/a#k}y", "bao:kv/a#k?default=d"])


def test_references_become_requests_and_the_rest_stays() -> None:
    plan = plan_launch(
        {"HOME": "/root", "DB": "bao:kv/db#pw", "URL": "pg://${bao:kv/db#user}@db", "EMPTY": "", "DOLLAR": "${HOME}"}
    )

    assert [(entry.name, entry.parts) for entry in plan.request.entries] == [
        ("DB", [Reference("kv/db", "pw")]),
        ("URL", ["pg://", Reference("kv/db", "user"), "@db"]),
    ]
    assert plan.plain == {"HOME": "/root", "EMPTY": "", "DOLLAR": "${HOME}"}
    assert plan.names == {"HOME": False, "DB": True, "URL": True, "EMPTY": False, "DOLLAR": False}
    assert plan.needs_bridge


def test_without_references_no_bridge_is_needed() -> None:
    plan = plan_launch({"HOME": "/root", "STRONGROOM_BRIDGE": "https://bridge"})

    assert not plan.needs_bridge
    assert plan.plain == {"HOME": "/root"}


@given(st.dictionaries(NAMES, VALUES))
def test_the_application_finds_every_variable_in_its_place_with_secrets_blank(environ: dict[str, str]) -> None:
    plan = plan_launch(environ)
    secrets = {entry.name for entry in plan.request.entries}

    environment = plan.environment(sorted(secrets))

    assert environment == {name: "" if name in secrets else value for name, value in environ.items()}
    assert list(environment) == list(environ)
    assert not [value for value in environment.values() if value.startswith("bao:") or "${vault:" in value]


@given(st.dictionaries(NAMES.map(lambda name: f"STRONGROOM_{name}"), PLAIN | st.just("bao:kv/a#k")))
def test_no_variable_of_ours_goes_on(given_environ: dict[str, str]) -> None:
    environ = {name: value for name, value in given_environ.items() if not is_service_link(name, value)}
    environ.pop("STRONGROOM_FROM_PATH", None)
    plan = plan_launch(environ | {"A": "b"})

    assert plan.environment([]) == {"A": "b"}
    assert not plan.needs_bridge


def test_an_optional_secret_that_is_missing_takes_its_variable_with_it() -> None:
    plan = plan_launch({"A": "bao:kv/a#k?optional", "B": "bao:kv/b#k", "C": "c"})

    assert plan.environment(["B"]) == {"B": "", "C": "c"}


@pytest.mark.parametrize(
    "value", ["bao:kv/a#k", "bao:kv/a#k?default=x", "x${bao:kv/a#k?optional}", "${bao:kv/a#k?default=}"]
)
def test_a_secret_that_is_left_out_and_not_optional_stops_the_launch(value: str) -> None:
    plan = plan_launch({"A": value, "B": "bao:kv/b#k"})

    with pytest.raises(IntegrityError, match="A: "):
        plan.environment(["B"])


def test_a_secret_that_nobody_asked_for_stops_the_launch() -> None:
    plan = plan_launch({"A": "bao:kv/a#k"})

    with pytest.raises(IntegrityError, match=r"PATH: .*not asked for"):
        plan.environment(["A", "PATH"])


def test_a_path_brings_variables_of_its_own() -> None:
    plan = plan_launch({"STRONGROOM_FROM_PATH": "bao:kv/env", "HOME": "/", "A": "bao:kv/a#k"})

    assert plan.needs_bridge
    assert plan.environment(["NEW", "A"]) == {"HOME": "/", "A": "", "NEW": ""}
    assert [(source.path, source.optional) for source in plan.request.from_paths] == [("kv/env", False)]


def test_a_path_alone_needs_the_bridge() -> None:
    assert plan_launch({"STRONGROOM_FROM_PATH": "vault:kv/env"}).needs_bridge


def test_several_paths_stand_with_commas() -> None:
    plan = plan_launch({"STRONGROOM_FROM_PATH": " bao:kv/a , vault:kv/b?optional,"})

    assert [(source.path, source.optional) for source in plan.request.from_paths] == [("kv/a", False), ("kv/b", True)]


@pytest.mark.parametrize(
    ("text", "optional", "names"),
    [
        ("bao:kv/a", False, "refuse"),
        ("bao:kv/a?names=skip", False, "skip"),
        ("bao:kv/a?optional&names=convert", True, "convert"),
        ("bao:kv/a?names=refuse&optional", True, "refuse"),
    ],
)
def test_a_path_says_what_becomes_of_keys_that_cannot_be_variables(text: str, optional: bool, names: str) -> None:  # noqa: FBT001
    (source,) = plan_launch({"STRONGROOM_FROM_PATH": text}).request.from_paths

    assert (source.path, source.optional, source.names) == ("kv/a", optional, names)


@pytest.mark.parametrize(
    "text",
    ["bao:kv/a?names=", "bao:kv/a?names=drop", "bao:kv/a?names=skip&names=skip", "bao:kv/a?a&b"]
    + [f"bao:kv/a?{option}" for option in ("prefix=1x", "prefix=a-", "case=lower", "case=", "include=", "prefx=A", "x")]
    + ["bao:kv/a?include=" + "&include=".join("abcdefghi"), "bao:kv/a?include=%zz", "bao:kv/a?prefix=A&prefix=B"],
)
def test_an_unknown_option_of_a_path_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="STRONGROOM_FROM_PATH: "):
        plan_launch({"STRONGROOM_FROM_PATH": f"bao:kv/a{text}"})


def test_the_bridge_is_told_which_names_a_path_must_not_bring() -> None:
    plan = plan_launch({"STRONGROOM_FROM_PATH": "bao:kv/env", "HOME": "/", "A": "bao:kv/a#k"})

    assert plan.request.exclude == {"HOME", "A"}


def test_a_path_cannot_replace_a_variable_that_is_there() -> None:
    plan = plan_launch({"STRONGROOM_FROM_PATH": "bao:kv/env", "PATH": "/bin"})

    with pytest.raises(IntegrityError, match="PATH"):
        plan.environment(["PATH"])


LOADER_NAMES = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "LD_X",
    "DYLD_INSERT_LIBRARIES",
    "GLIBC_TUNABLES",
    "MALLOC_CONF",
    "MALLOC_ARENA_MAX",
    "MALLOC_CHECK_",
]
# Of glibc's list for set-id programs; the C library looks at them when it likes, so a single one may be a secret.
UNSECURE_NAMES = [
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NIS_PATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "TMPDIR",
    "TZDIR",
]


@pytest.mark.parametrize("name", LOADER_NAMES)
def test_a_variable_of_the_loader_cannot_be_a_secret(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        plan_launch({name: "bao:kv/a#k"})


@pytest.mark.parametrize(
    "name", [*LOADER_NAMES, *UNSECURE_NAMES, "STRONGROOM_REGION", "STRONGROOM_CHILDREN", "STRONGROOM_X"]
)
def test_a_path_that_brings_a_variable_of_the_loader_or_of_ours_stops_the_launch(name: str) -> None:
    plan = plan_launch({"STRONGROOM_FROM_PATH": "bao:kv/env"})

    with pytest.raises(ConfigError, match=name):
        plan.environment(["GOOD", name])


def test_a_writer_of_secrets_sets_nothing_that_glibc_takes_away_from_set_id_programs() -> None:
    assert all(map(steers_the_process, [*LOADER_NAMES, *UNSECURE_NAMES]))
    assert not any(map(steers_the_process, ["PATH", "DB_PASSWORD", "TZ", "LANG", "MY_LD_PATH", "MALLOCATED"]))


@pytest.mark.parametrize("name", UNSECURE_NAMES)
def test_the_operator_may_have_one_of_them_hold_a_secret(name: str) -> None:
    assert plan_launch({name: "bao:kv/a#k"}).needs_bridge


def test_what_kubernetes_tells_of_a_service_called_like_us_goes_on_to_the_application() -> None:
    links = {"STRONGROOM_SERVICE_HOST": "10.96.3.7", "STRONGROOM_PORT": "tcp://10.96.3.7:8443"}

    assert plan_launch({**links, "STRONGROOM_BRIDGE": "https://bridge"}).environment([]) == links


def test_a_name_of_ours_cannot_be_a_secret_even_where_it_looks_like_a_service_link() -> None:
    with pytest.raises(ConfigError, match="STRONGROOM_SERVICE_HOST: is read before"):
        plan_launch({"STRONGROOM_SERVICE_HOST": "bao:kv/a#k"})


@pytest.mark.parametrize("name", LOADER_NAMES)
def test_a_variable_of_the_loader_without_reference_goes_on(name: str) -> None:
    assert plan_launch({name: "/x"}).environment([]) == {name: "/x"}


@pytest.mark.parametrize("name", ["a-b", "1A", "A.B", "É", "BASH_FUNC_x%%", "", "A\udcff"])
def test_a_reference_in_a_name_that_shells_cannot_read_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits and _"):
        plan_launch({name: "bao:kv/a#k"})


def test_a_dotted_name_is_refused_with_the_spelling_that_its_readers_take_too() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_launch({"spring.data-source.password": "bao:kv/a#k"})

    assert "SPRING_DATASOURCE_PASSWORD" in caught.value.hint


@pytest.mark.parametrize("before", ["", "file:", "file(mode=0440):", "file(owner=1:2,path=/run/x):"])
@pytest.mark.parametrize("reference", ['"bao:kv/a#k"', " bao:kv/a#k", "BAO:kv/a#k", "${ bao:kv/a#k}"])
def test_a_near_miss_is_refused_for_files_as_for_variables(before: str, reference: str) -> None:
    with pytest.raises(ConfigError, match=r"^A: .*looks like a reference"):
        plan_launch({"A": before + reference})


def test_a_literal_goes_on_without_its_mark() -> None:
    plan = plan_launch({"A": "literal:vault://x/y#z", "B": "${literal:file:}./dev.db?key=${bao:kv/a#k}"})

    assert plan.plain == {"A": "vault://x/y#z"}
    assert not plan.files
    assert [entry.parts for entry in plan.request.entries] == [["file:./dev.db?key=", Reference("kv/a", "k")]]


@pytest.mark.parametrize("name", ["a-b", "BASH_FUNC_x%%", "A\udcff"])
def test_such_a_name_without_reference_goes_on(name: str) -> None:
    assert plan_launch({name: "() { :; }"}).environment([]) == {name: "() { :; }"}


@given(st.binary().map(lambda value: value.replace(b"\0", b"").replace(b"$", b"")))
def test_bytes_that_are_not_utf8_go_on_untouched(value: bytes) -> None:
    text = os.fsdecode(b"x" + value)

    assert os.fsencode(plan_launch({"A": text}).environment([])["A"]) == b"x" + value


@pytest.mark.parametrize(
    "value",
    [
        b"\xff${bao:kv/a#k}",
        b"${bao:kv/a#k}\xff",
        b"bao:kv/a#k?default=\xff",
        b"bao:kv/\xff#k",
        b"bao:kv/a#\xff",
        b"bao:kv/a\xed\xa0\x80#k",
    ],
)
def test_bytes_that_are_not_utf8_are_refused_beside_a_reference_and_the_line_names_the_variable(value: bytes) -> None:
    with pytest.raises(ConfigError, match="NAME: "):
        plan_launch({"NAME": os.fsdecode(value)})


@pytest.mark.parametrize("value", ["bao:kv/a", "${bao:kv/a#k", "bao:kv//a#k", "bao:kv/a#k?x", "bao:" + "${bao:kv/a#k}"])
def test_a_malformed_reference_names_its_variable(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^DB_URL: "):
        plan_launch({"DB_URL": value})


@pytest.mark.parametrize(
    "value", ["kv/env", "bao:kv/env#key", "bao:kv", "bao:kv/env?default=x", "bao:kv/env;bao:kv/x?"]
)
def test_a_malformed_path_names_its_variable(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^STRONGROOM_FROM_PATH: "):
        plan_launch({"STRONGROOM_FROM_PATH": value})


def test_an_error_hint_survives() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_launch({"A": "bao:kv/a"})

    assert "bao:PATH#KEY" in caught.value.hint


def test_more_references_than_a_value_may_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="A: "):
        plan_launch({"A": "${bao:kv/a#k}" * 65})


def test_a_secret_in_a_variable_with_too_long_a_name_is_refused_before_the_bridge_is_asked() -> None:
    plain = "P" * 300
    assert plan_launch({plain: "x", "A" * 256: "bao:kv/db#k"}).names == {plain: False, "A" * 256: True}
    with pytest.raises(ConfigError, match=r"A…: has 257 characters; .* at most 256") as caught:
        plan_launch({"A" * 257: "bao:kv/db#k"})
    assert "shorter name" in caught.value.hint


def test_plain_variables_do_not_count_among_references() -> None:
    environ = {f"PLAIN_{number}": "x" for number in range(10_000)}
    plan = plan_launch(environ | {"A": "bao:kv/db#k", "STRONGROOM_FROM_PATH": "bao:kv/env"})
    assert len(plan.request.entries) == 1
    assert environ.keys() <= plan.request.exclude
    assert len(encode_request(plan.request)) < 1 << 20
