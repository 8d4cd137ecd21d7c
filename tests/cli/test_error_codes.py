"""The tables of what clients are told against the places that tell it."""

import ast
import re
from collections.abc import Iterator

import pytest

from bridge.audit import Decision
from bridge.fronts.answers import ANSWERS, problem_of
from s3proxy.s3api.codes import BY_NAME, CODES
from s3proxy.s3api.documents import MAX_DOCUMENT_BYTES
from s3proxy.s3api.errors import S3Error
from strongroom import errors
from strongroom.launch.problem import CAUSES
from strongroom.service.edges import EDGES
from tests.cli.emitted import sources
from tests.support.tree import ROOT

SETTINGS = ROOT / "docs/reference/settings.md"


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module that are the name of a code, or are given to an S3Error as one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in BY_NAME:
            yield str(node.value)
        match node:
            case ast.Call(func=ast.Name(id="S3Error"), args=[ast.Constant(value=str(code)), *_]):
                yield code
            case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id="code"), *_])], value=ast.Tuple(elts=[first, *_])):
                yield from (
                    str(part.value) for part in ast.walk(first) if isinstance(part, ast.Constant) and _is_code(part)
                )
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant() as first) if _is_code(first):
                yield str(first.value)


def _is_code(node: ast.Constant) -> bool:
    return isinstance(node.value, str) and node.value.replace(".", "").isalnum() and node.value[0].isupper()


def test_every_code_that_the_proxy_makes_is_in_the_table_and_the_others_are_the_stores() -> None:
    made = {
        code
        for path, tree in sources()
        if path.is_relative_to(ROOT / "s3proxy") and path.name != "codes.py"
        for code in codes_in(tree)
    }
    # What the proxy only recognises in answers of the store, as its own credentials are meant there.
    assert {code.name for code in CODES if not code.by_store} == made - {"ExpiredToken"}


def test_a_code_that_is_in_no_table_would_be_found() -> None:
    source = 'code, msg = "MadeUp", "x"\nraise S3Error("MadeUpToo", msg)\ncode = "Third"\ncode = "no code"'
    assert set(codes_in(ast.parse(source))) == {"MadeUp", "MadeUpToo", "Third"}


def test_each_code_has_a_cause_and_a_cure_and_none_stands_twice() -> None:
    assert len(BY_NAME) == len(CODES)
    assert all(code.cause and code.cure for code in CODES)


def test_the_largest_document_is_told_as_it_is() -> None:
    told = f"{MAX_DOCUMENT_BYTES >> 20} MiB"
    assert told in BY_NAME["MaxMessageLengthExceeded"].cause
    (row,) = re.findall(r"^\| `short_body_timeout_s` .*$", SETTINGS.read_text(), re.MULTILINE)
    assert f"{told} at most" in row


@pytest.mark.parametrize("code", [code.name for code in CODES])
def test_an_error_without_a_hint_of_its_own_has_that_of_its_code(code: str) -> None:
    assert S3Error(code, "message").hint == BY_NAME[code].cure
    assert S3Error(code, "message", hint="nearer").hint == "nearer"


def test_a_code_that_only_a_store_knows_points_to_the_store() -> None:
    assert S3Error("XMinioBroken", "message").hint == "the store answers XMinioBroken: see its documentation"


def test_every_class_of_errors_has_an_answer_of_the_bridge() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StrongroomError)
    ]
    for kind in kinds:
        answered = next(answer.kind for answer in ANSWERS if issubclass(kind, answer.kind))
        assert answered is not errors.StrongroomError or kind is errors.StrongroomError
        assert problem_of(kind("x", hint="y")).detail == "x; y"
    assert all(answer.cause and answer.cure for answer in ANSWERS)
    assert [answer.kind for answer in ANSWERS] == [edge.kind for edge in EDGES]


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_of_a_refusal_is_a_decision_of_the_audit_log(cause: str) -> None:
    assert Decision(cause).value == cause
