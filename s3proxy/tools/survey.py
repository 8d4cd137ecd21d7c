"""Reading every object of a bucket, for tools: what is sealed and whole, what is damaged, what is plaintext."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from s3proxy.keys.kek import Cause, KeyNotAvailableError
from s3proxy.s3api.errors import S3Error
from s3proxy.storage import Storage
from s3proxy.store.listing import StoredName, for_each, list_objects
from s3proxy.stored.read import Name, Read, UnsealedObject
from strongroom.errors import IntegrityError, StrongroomError, UnavailableError

_AT_ONCE: Final = 4


class State(enum.Enum):
    """What an object was found to be."""

    WHOLE = "sealed and whole"
    PLAIN = "plaintext, as the policy allows"
    DAMAGED = "damaged"
    KEYLESS = "sealed, and the key is not available"
    UNREADABLE = "unreadable"
    GONE = "deleted meanwhile"


@dataclass
class Survey:
    """What was found.

    Attributes:
        counts: objects by state.
        plaintext_bytes: that were read.
        complaints: why objects are damaged or unreadable, by key.
        keyless: one error for each way in which keys are not available.
    """

    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    plaintext_bytes: int = 0
    complaints: dict[str, str] = field(default_factory=dict)
    keyless: list[StrongroomError] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many objects were looked at."""
        return sum(self.counts.values())


class Surveyor:
    """Reads the objects of one bucket to their end. Nothing is written."""

    def __init__(self, storage: Storage, bucket: str, *, progress: Callable[[Survey], None] = lambda _: None) -> None:
        """Take the bucket, and who is told after each object."""
        self._storage = storage
        self._bucket = bucket
        self._progress = progress
        self.survey = Survey()

    async def run(self, *, prefix: str = "") -> Survey:
        """Read every object.

        Raises:
            UnavailableError: store or KMS are away.
            StrongroomError: the store refuses to list the bucket.
        """
        await for_each(list_objects(self._storage.store, self._bucket, prefix=prefix), self._one, at_once=_AT_ONCE)
        return self.survey

    async def _one(self, listed: StoredName) -> None:
        try:
            state = await self._read(Name(self._bucket, listed.key))
        except UnavailableError:
            raise
        except KeyNotAvailableError as error:
            state = State.KEYLESS
            self.survey.complaints[listed.key] = error.message
            if error.hint not in {other.hint for other in self.survey.keyless}:
                self.survey.keyless.append(error)
        except IntegrityError as error:
            state = State.DAMAGED
            self.survey.complaints[listed.key] = error.message
        except StrongroomError as error:
            gone = isinstance(error, S3Error) and error.code == "NoSuchKey"
            state = State.GONE if gone else State.UNREADABLE
            if not gone:
                self.survey.complaints[listed.key] = error.message
        self.survey.counts[state] += 1
        self._progress(self.survey)

    async def _read(self, name: Name) -> State:
        """Read one object to its end.

        Raises:
            StrongroomError: it is damaged, unreadable or gone.
        """
        try:
            policy = self._storage.policies.require(name.bucket, name.key)
        except S3Error as error:
            raise KeyNotAvailableError(Cause.NO_POLICY, error.message, hint=error.hint) from None
        found = await self._storage.objects.finder.look(Read(name, policy))
        if isinstance(found, UnsealedObject):
            return State.PLAIN
        size = await found.size()
        await found.digests()
        async for piece in found.pieces(0, size - 1):
            self.survey.plaintext_bytes += len(piece)
        return State.WHOLE
