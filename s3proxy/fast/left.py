"""Why requests are left to the general path."""

import enum

from strongroom.errors import StrongroomError


class Reason(enum.StrEnum):
    """Why a request takes the general path."""

    CLIENT = "client"  # the first request of its connection, or one of nobody, or its client takes nothing
    ENDING = "ending"  # the server is
    MESSAGE = "message"  # HTTP as S3 clients hardly send it
    REFUSED = "refused"  # it would be
    OPERATION = "operation"  # it is none of those that go fast
    RECORD = "record"  # it has to be on disk before the answer
    NAME = "name"  # the key ends in a slash, or the object was a multipart one when it was last read
    QUERY = "query"  # one of the client's parts is asked for
    CONDITION = "condition"  # it depends on what is there
    POLICY = "policy"  # nothing is sealed
    SIZE = "size"  # it has more than a chunk
    PLACE = "place"  # there is none at once
    KEY = "key"  # the bucket key is not at hand
    STORE = "store"  # no connection to the store is idle
    BODY = "body"  # it is not what it claims to be
    ANSWER = "answer"  # the store's is not plainly a good one about a small sealed object
    DAMAGED = "damaged"  # what is stored was refused
    SLOW = "slow"  # client or store
    MISTAKE = "mistake"  # ours


class LeftError(Exception):
    """A request is left to the general path."""

    def __init__(self, reason: Reason, error: StrongroomError | None = None) -> None:
        """Take why, and what the general path is going to find, too."""
        super().__init__(reason)
        self.reason = reason
        self.error = error
