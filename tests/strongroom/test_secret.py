import copy
import json
import logging
import pickle
import pprint
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.secret import Secret

CANARY = "canary-Gh51xQ"


@pytest.fixture
def secret() -> Secret:
    return Secret(CANARY.encode())


def test_reveal_returns_the_bytes(secret: Secret) -> None:
    assert secret.reveal() == CANARY.encode()


def test_len_counts_bytes() -> None:
    assert len(Secret("ü".encode())) == 2


def test_every_way_of_printing_shows_stars(secret: Secret) -> None:
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r} {secret!s} {secret!a}",
        f"{secret:>40}",
        "%s %r" % (secret, secret),  # noqa: UP031 - one more way to print
        "{0} {0!r}".format(secret),  # noqa: UP032
        format(secret, "^30"),
        repr([secret, {"k": secret}]),
        pprint.pformat({"k": [secret]}),
    ]

    assert not [text for text in shown if CANARY in text]
    assert repr(secret) == "Secret(***)"


@given(value=st.binary(min_size=1), spec=st.sampled_from(["", "s", ">20", "*^30", ".5", "<3"]))
def test_a_format_shows_the_same_for_every_value(value: bytes, spec: str) -> None:
    assert format(Secret(value), spec) == format(Secret(b""), spec)


@pytest.mark.parametrize("spec", ["x", "d", "b", "%Y", ".3f"])
def test_a_format_for_other_types_fails_without_the_value(secret: Secret, spec: str) -> None:
    with pytest.raises(ValueError, match="format") as caught:
        format(secret, spec)

    assert CANARY not in str(caught.value)


def test_logging_shows_stars(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").error("read %s and %r", secret, {"value": secret})

    assert CANARY not in caplog.text
    assert "Secret(***)" in caplog.text


def test_a_traceback_with_locals_shows_stars(secret: Secret) -> None:
    def fail(value: Secret) -> None:
        raise LookupError(value)

    try:
        fail(secret)
    except LookupError as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)

    assert CANARY not in "".join(report.format())
    assert "Secret(***)" in "".join(report.format())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(secret: Secret, protocol: int) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(secret, protocol)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, json.dumps, bytes, list, vars, hash])
def test_nothing_turns_it_into_something_printable(secret: Secret, how: object) -> None:
    assert callable(how)
    with pytest.raises(TypeError) as caught:
        how(secret)

    assert CANARY not in str(caught.value)


def test_it_cannot_be_compared(secret: Secret) -> None:
    with pytest.raises(TypeError, match="compare_digest"):
        secret == CANARY.encode()  # noqa: B015
    with pytest.raises(TypeError, match="compare_digest"):
        secret != Secret(CANARY.encode())  # noqa: B015
    with pytest.raises(TypeError, match="compare_digest"):
        CANARY.encode() in [secret, secret]  # noqa: B015
    with pytest.raises(TypeError):
        sorted([secret, Secret(b"a")])  # type: ignore[type-var]


def test_it_takes_no_other_attributes(secret: Secret) -> None:
    with pytest.raises(AttributeError):
        secret.note = "x"  # type: ignore[attr-defined]
