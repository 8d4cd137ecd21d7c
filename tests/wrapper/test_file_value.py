"""What a value says about a file: options, and which values are meant at all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError, IntegrityError
from strongroom.launch.reference import Reference
from wrapper.files.value import FileTarget, split_file_value
from wrapper.main import read_template
from wrapper.plan import plan_launch

REFERENCE = "bao:kv/shop/tls#key"


def fields(target: FileTarget) -> tuple[object, ...]:
    return (target.path, target.mode, target.uid, target.gid, target.decode, target.template)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ("", 0o400, -1, -1, False, "")),
        ("mode=0440", ("", 0o440, -1, -1, False, "")),
        ("mode=0", ("", 0, -1, -1, False, "")),
        ("owner=1000", ("", 0o400, 1000, -1, False, "")),
        ("owner=0:4294967294", ("", 0o400, 0, 4_294_967_294, False, "")),
        ("decode=base64", ("", 0o400, -1, -1, True, "")),
        ("path=/run/app/db.ini,mode=640,owner=1:2,decode=base64", ("/run/app/db.ini", 0o640, 1, 2, True, "")),
        ("owner=1,path=/a b/ü=(", ("/a b/ü=(", 0o400, 1, -1, False, "")),
    ],
)
def test_options(options: str, expected: tuple[object, ...]) -> None:
    found = split_file_value(f"file({options}):{REFERENCE}")
    assert found is not None
    assert (fields(found[0]), found[1]) == (expected, REFERENCE)


def test_without_options_the_defaults_hold() -> None:
    found = split_file_value(f"file:a ${{{REFERENCE}}}\nb")
    assert found is not None
    assert (fields(found[0]), found[1]) == (fields(FileTarget()), f"a ${{{REFERENCE}}}\nb")


@pytest.mark.parametrize(
    "value",
    [
        "file:",
        "file:///etc/hosts",
        "file:/etc/${HOME}",
        "file:xbao:kv/a#b",
        "file(",
        "file()",
        "file():",
        "file(path=/x)",
        "file(path=/x):text",
        "file(nonsense):text",
        "file(1) is the name of a command",
        "file(path=/template=/x):",
        "file(mode=0400)",
    ],
)
def test_a_value_without_a_reference_is_left_alone(value: str) -> None:
    assert split_file_value(value) is None
    plan = plan_launch({"A": value})
    assert (plan.plain, plan.files, plan.needs_bridge) == ({"A": value}, {}, False)


@pytest.mark.parametrize("front", ["file:", "file(path=/run/x):", "file(path=/run/x)"])
@pytest.mark.parametrize("text", ["literal:${bao:kv/a#b}", "literal:bao:kv/a#b"])
def test_a_file_of_literal_text_is_refused_and_its_reference_not_resolved_into_the_variable(
    front: str, text: str
) -> None:
    with pytest.raises(ConfigError, match="literal"):
        plan_launch({"A": front + text})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("mode=0800", "mode=0800: must be octal"),
        ("mode=1000", "mode=1000: must be octal"),
        ("mode=", "mode=: must be octal"),
        ("mode=00400", "must be octal"),
        ("mode=-1", "must be octal"),
        ("mode=0o400", "must be octal"),
        ("owner=", "owner=: must be UID"),
        ("owner=root", "must be UID"),
        ("owner=1:", "must be UID"),
        ("owner=:1", "must be UID"),
        ("owner=1:2:3", "must be UID"),
        ("owner=4294967295", "must be UID"),
        ("owner=-1", "must be UID"),
        ("owner=٣", "must be UID"),
        ("decode=hex", "decode=hex: must be base64"),
        ("decode=", "must be base64"),
        ("path=", "must be an absolute path"),
        ("path=relative", "must be an absolute path"),
        ("path=/", "must be an absolute path"),
        ("path=/run/", "must be an absolute path"),
        ("path=/run//x", "must be an absolute path"),
        ("path=/run/../x", "must be an absolute path"),
        ("path=/run/./x", "must be an absolute path"),
        ("path=/run/\nx", "must be an absolute path"),
        ("path=/x,path=/y", "is given twice"),
        ("mode=0400,", "'' is unknown"),
        ("user=1", "'user=1' is unknown"),
        ("decode", "'decode' is unknown"),
        (" path=/x", "is unknown"),
    ],
)
def test_an_option_that_breaks_its_rule_is_refused_not_ignored(options: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_launch({"TLS": f"file({options}):{REFERENCE}"})
    assert caught.value.message.startswith("TLS: ")
    assert message in caught.value.message


def test_a_missing_colon_is_refused_because_a_reference_would_reach_the_application() -> None:
    with pytest.raises(ConfigError, match="no colon"):
        split_file_value("file(path=/x)bao:kv/a#b")


@given(st.text(max_size=30))
def test_any_options_are_read_or_refused_with_our_own_error(options: str) -> None:
    try:
        split_file_value(f"file({options}):{REFERENCE}")
    except ConfigError as error:
        assert len(error.message) < 500  # noqa: PT017 - both ends are right


class TestPlan:
    def test_the_request_says_that_it_is_a_file_and_not_where_it_goes(self) -> None:
        plan = plan_launch(
            {"A": f"file(path=/run/a,mode=0440,decode=base64):{REFERENCE}", "B": f"file:x${{{REFERENCE}}}"}
        )

        assert [(e.name, e.as_file, e.decode, e.parts) for e in plan.request.entries] == [
            ("A", True, True, [Reference("kv/shop/tls", "key")]),
            ("B", True, False, ["x", Reference("kv/shop/tls", "key")]),
        ]
        assert {name: target.path for name, target in plan.files.items()} == {"A": "/run/a", "B": ""}
        assert plan.names == {"A": True, "B": True}

    def test_the_environment_has_the_paths(self) -> None:
        plan = plan_launch({"A": f"file:{REFERENCE}", "B": REFERENCE, "C": "c"})
        assert plan.environment(["B"], {"A": "/proc/self/fd/100"}) == {"A": "/proc/self/fd/100", "B": "", "C": "c"}

    def test_a_missing_optional_file_has_no_variable(self) -> None:
        plan = plan_launch({"A": f"file:{REFERENCE}?optional", "C": "c"})
        assert plan.environment([], {}) == {"C": "c"}

    @pytest.mark.parametrize(
        ("delivered", "files"),
        [([], {}), (["A"], {}), (["A"], {"A": "/x"}), (["B"], {}), (["A", "B"], {"A": "/x"})],
    )
    def test_a_file_that_is_left_out_or_comes_as_a_variable_is_refused(
        self, delivered: list[str], files: dict[str, str]
    ) -> None:
        plan = plan_launch({"A": f"file:{REFERENCE}", "B": REFERENCE})
        with pytest.raises(IntegrityError):
            plan.environment(delivered, files)

    def test_a_whole_path_cannot_bring_the_name_of_a_file(self) -> None:
        plan = plan_launch({"A": f"file:{REFERENCE}", "STRONGROOM_FROM_PATH": "bao:kv/env"})
        assert "A" in plan.request.exclude
        with pytest.raises(IntegrityError, match="not asked for"):
            plan.environment(["A"], {"A": "/x"})

    @pytest.mark.parametrize("name", ["LD_PRELOAD", "GLIBC_TUNABLES"])
    def test_what_the_loader_reads_cannot_name_a_file(self, name: str) -> None:
        with pytest.raises(ConfigError, match="cannot be one"):
            plan_launch({name: f"file:{REFERENCE}"})


class TestTemplates:
    def test_the_text_comes_from_the_file(self, tmp_path: Path) -> None:
        template = tmp_path / "db.ini.tmpl"
        template.write_text(f"[db]\nurl=${{{REFERENCE}}}\nü=$HOME ${{OTHER}}\n")
        plan = plan_launch({"A": f"file(template={template},path=/run/x):"}, read_template)

        (entry,) = plan.request.entries
        assert entry.parts == ["[db]\nurl=", Reference("kv/shop/tls", "key"), "\nü=$HOME ${OTHER}\n"]
        assert plan.files["A"].path == "/run/x"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"text", "holds no reference"),
            (b"", "holds no reference"),
            (b"\xff${bao:kv/a#b}", "is not UTF-8"),
            (b"x" * (1 << 20) + b"${bao:kv/a#b}", "is longer than"),
            (b"${bao:kv/a}", "has no key"),
        ],
        ids=["text", "empty", "bytes", "long", "malformed"],
    )
    def test_one_that_cannot_be_used_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        template = tmp_path / "t"
        template.write_bytes(content)
        with pytest.raises(ConfigError, match=f"A: .*{message}"):
            plan_launch({"A": f"file(template={template}):"}, read_template)

    def test_one_that_is_missing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=f"A: template={tmp_path}/none: No such file"):
            plan_launch({"A": f"file(template={tmp_path}/none):"}, read_template)

    def test_a_text_beside_it_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="there is a string behind"):
            plan_launch({"A": f"file(template=/x):{REFERENCE}"}, read_template)
