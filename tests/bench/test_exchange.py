"""What passes a relay during a launch: phases and round trips of passages that are made up."""

import pytest

from bench.relay import Passage, round_trips, split_launch
from strongroom.errors import PeerError


def test_a_launch_is_split_where_its_pieces_pass() -> None:
    passage = Passage(accepted=1060, sent=[1061, 1070, 1071], received=[1065, 1066, 1080, 1090])

    assert split_launch(passage, begin=1000, first=1100, start_up=20) == {
        "interpreter": 20,
        "wrapper": 40,
        "TLS": 10,
        "fetch": 20,
        "hand-off and exec": 10,
    }


def test_what_the_server_sends_after_the_program_began_is_no_part_of_the_answer() -> None:
    passage = Passage(accepted=1060, sent=[1061, 1070, 1099], received=[1065, 1090, 1150])

    phases = split_launch(passage, begin=1000, first=1100, start_up=20)

    assert phases["hand-off and exec"] == 10
    assert sum(phases.values()) == 100


@pytest.mark.parametrize(
    ("sent", "received"),
    [([], []), ([1061], []), ([1061], [1065]), ([1061, 1070], [1065]), ([1061, 1070], [1065, 1100])],
)
def test_a_launch_without_a_request_and_its_answer_has_no_phases(sent: list[int], received: list[int]) -> None:
    with pytest.raises(PeerError, match="without a handshake"):
        split_launch(Passage(accepted=1060, sent=sent, received=received), begin=1000, first=1100, start_up=20)


@pytest.mark.parametrize(
    ("sent", "received", "expected"),
    [
        ([], [], 1),
        ([10, 11], [20, 21, 22], 2),
        ([10, 30, 31], [20, 40, 41], 3),
        ([10, 30, 45], [20, 40], 3),
        ([10, 30, 50], [20, 40, 110], 3),
    ],
    ids=["connecting", "one flight of two pieces", "handshake and request", "a last word", "an answer after the end"],
)
def test_each_answered_flight_and_connecting_are_a_round_trip(
    sent: list[int], received: list[int], expected: int
) -> None:
    assert round_trips(Passage(accepted=0, sent=sent, received=received), until=100) == expected
