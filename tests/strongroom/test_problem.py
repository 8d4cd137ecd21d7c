import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.launch.problem import (
    CAUSES,
    DENIED,
    MAX_LISTED_FAILURES,
    Failure,
    Problem,
    decode_problem,
    encode_problem,
)

PRINTABLE = st.text(max_size=200).filter(str.isprintable)
FAILURES = st.builds(
    Failure, name=PRINTABLE, path=PRINTABLE, key=PRINTABLE, cause=st.sampled_from(CAUSES), detail=PRINTABLE
)
JSON_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
MEMBERS = ("title", "detail", "failures", "name", "path", "key", "cause")


def fields(problem: Problem) -> tuple[object, ...]:
    return (problem.status, problem.title, problem.detail, [failure.to_document() for failure in problem.failures])


@given(
    status=st.integers(400, 599),
    title=PRINTABLE,
    detail=PRINTABLE,
    failures=st.lists(FAILURES, max_size=MAX_LISTED_FAILURES),
)
def test_what_is_written_is_read_back(status: int, title: str, detail: str, failures: list[Failure]) -> None:
    problem = Problem(status=status, title=title, detail=detail, failures=failures)

    assert fields(decode_problem(status, encode_problem(problem))) == fields(problem)


def test_it_is_written_as_rfc_9457_has_it() -> None:
    failure = Failure(name="DB", path="kv/db", key="pw", cause=DENIED, detail="no grant")
    document = json.loads(encode_problem(Problem(status=403, title="Forbidden", detail="x", failures=[failure])))

    assert document == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "x",
        "failures": [{"name": "DB", "path": "kv/db", "key": "pw", "cause": "denied", "detail": "no grant"}],
    }


def test_only_the_first_failures_are_listed() -> None:
    failures = [Failure(name=f"V{i}", path="", key="", cause=DENIED, detail="") for i in range(MAX_LISTED_FAILURES + 1)]

    body = encode_problem(Problem(status=403, title="", detail="", failures=failures))

    assert [failure.name for failure in decode_problem(403, body).failures] == [
        f"V{i}" for i in range(MAX_LISTED_FAILURES)
    ]


@given(body=st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_answer_becomes_a_problem(body: bytes) -> None:
    assert decode_problem(500, body).status == 500


@given(
    document=st.dictionaries(st.sampled_from(MEMBERS), JSON_VALUES | st.lists(st.dictionaries(st.text(), st.text())))
)
def test_members_of_wrong_types_become_empty_and_what_is_left_is_printable(document: dict[str, object]) -> None:
    problem = decode_problem(422, json.dumps(document).encode())

    assert all(failure.cause in CAUSES for failure in problem.failures)
    texts = [problem.title, problem.detail]
    for failure in problem.failures:
        texts += failure.to_document().values()
    assert all(text.isprintable() and len(text) <= 1000 for text in texts)


@pytest.mark.parametrize(
    "control",
    ["\x1b[31m", "\x9b31m", "\r\n", "\b" * 9, "\x00", "\u202e", "\u2028", "\ud800"],
    ids=["escape", "C1", "line", "backspace", "nul", "direction", "separator", "surrogate"],
)
def test_nothing_that_drives_a_terminal_is_left(control: str) -> None:
    item = {"name": f"A{control}", "path": control, "key": control, "cause": "denied", "detail": f"{control}b{control}"}
    body = json.dumps({"title": control, "detail": f"one{control}two", "failures": [item]}).encode()

    problem = decode_problem(403, body)

    left = [problem.title, problem.detail, *problem.failures[0].to_document().values()]
    assert all(text.isprintable() for text in left)
    assert problem.failures[0].name.startswith("A")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>502</html>", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b'{"detail":'],
)
def test_what_is_no_problem_document_says_so(body: bytes) -> None:
    problem = decode_problem(502, body)

    assert (problem.status, problem.title, problem.failures) == (502, "", [])
    assert "not a problem document" in problem.detail


def test_huge_texts_and_lists_are_cut() -> None:
    item = {"name": "A" * 5000, "cause": "missing", "detail": "d" * 5000}
    body = json.dumps({"detail": "x" * 100_000, "failures": [item] * 500}).encode()

    problem = decode_problem(404, body)

    assert len(problem.detail) == 1000
    assert len(problem.failures) == MAX_LISTED_FAILURES
    assert len(problem.failures[0].name) == 1000


def test_the_status_is_that_of_the_answer_and_not_what_the_document_claims() -> None:
    assert decode_problem(503, b'{"status": 200, "detail": "x"}').status == 503


@pytest.mark.parametrize("cause", ["", "DENIED", "allowed", 3, None, ["denied"]])
def test_a_failure_of_an_unknown_cause_is_left_out(cause: object) -> None:
    body = json.dumps({"failures": [{"name": "A", "cause": cause}, {"name": "B", "cause": "denied"}, "C"]}).encode()

    assert [failure.name for failure in decode_problem(403, body).failures] == ["B"]
