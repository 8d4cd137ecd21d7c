"""What the two protocols say of each class of errors, and what a cause stands for."""

import pytest

from strongroom import errors
from strongroom.launch.problem import CAUSES
from strongroom.service.edges import EDGES, KIND_OF_CAUSE, GrpcCode, cause_of, edge_of

# As HTTP statuses and codes of gRPC correspond where one is translated into the other (google.rpc.Code names them).
CORRESPONDING = {
    400: {GrpcCode.INVALID_ARGUMENT},
    403: {GrpcCode.PERMISSION_DENIED},
    404: {GrpcCode.NOT_FOUND},
    408: {GrpcCode.DEADLINE_EXCEEDED},
    413: {GrpcCode.RESOURCE_EXHAUSTED},
    422: {GrpcCode.FAILED_PRECONDITION},
    500: {GrpcCode.INTERNAL, GrpcCode.DATA_LOSS},
    503: {GrpcCode.UNAVAILABLE},
}


def test_both_protocols_say_the_same_of_each_class() -> None:
    assert all(edge.grpc in CORRESPONDING[edge.status] for edge in EDGES)


def test_no_class_is_hidden_by_one_before_it() -> None:
    assert [edge_of(edge.kind) for edge in EDGES] == list(EDGES)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_stands_for_a_class(cause: str) -> None:
    assert cause_of(KIND_OF_CAUSE[cause]("x")) == cause


def test_what_is_neither_refused_nor_missing_cannot_be_handed_over() -> None:
    assert cause_of(errors.PeerError("x")) == "undeliverable"
