import pytest

from strongroom import errors
from strongroom.errors import PeerError, StrongroomError, UnavailableError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StrongroomError)]


@pytest.mark.parametrize("kind", KINDS)
def test_message_and_hint_stay_apart(kind: type[StrongroomError]) -> None:
    error = kind("what is wrong", hint="what to do")

    assert (str(error), error.message, error.hint) == ("what is wrong", "what is wrong", "what to do")


@pytest.mark.parametrize("kind", KINDS)
def test_a_hint_may_be_left_out(kind: type[StrongroomError]) -> None:
    assert kind("what is wrong").hint == kind.usual_hint


def test_a_busy_peer_is_a_peer_error_that_says_when_to_come_back() -> None:
    error = UnavailableError("sealed", retry_after_s=7.5)

    assert isinstance(error, PeerError)
    assert error.retry_after_s == 7.5


def test_no_error_of_the_project_is_a_built_in_one() -> None:
    # A caller that catches ValueError or OSError must not swallow a decision of ours by accident.
    assert not [kind for kind in KINDS if issubclass(kind, ValueError | OSError | RuntimeError)]
