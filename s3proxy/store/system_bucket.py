"""The proxy's own bucket at the store: made when something is first put into it."""

from http import HTTPStatus

from s3proxy.store.client import Store, StoreRequest
from s3proxy.store.connection import Held
from s3proxy.store.errors import store_error
from strongroom.errors import PeerError, UnavailableError


class SystemBucketError(PeerError):
    """The proxy's own bucket is not there and cannot be made."""


class SystemBucket:
    """Where the proxy keeps what is not its clients'."""

    def __init__(self, store: Store, name: str) -> None:
        """Take the store and the name of the bucket."""
        self._store = store
        self.name = name

    async def put(self, key: str, body: Held, *, content_type: str = "application/octet-stream") -> None:
        """Write an object; make the bucket if there is none.

        Raises:
            StrongroomError: the store cannot be reached, refuses, or has not got the bucket even then.
        """
        headers = {"content-type": content_type}
        request = StoreRequest(method="PUT", bucket=self.name, key=key, headers=headers, body=body)
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.OK:
                return
            if response.status != HTTPStatus.NOT_FOUND:
                raise await store_error(response)
        await self.make()
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.NOT_FOUND:  # what is not there must not count as kept
                msg = f"the store has no bucket {self.name} yet, which was just made"
                raise UnavailableError(msg, hint="see the log of the store; the next request asks for the bucket again")
            if response.status != HTTPStatus.OK:
                raise await store_error(response)

    async def make(self) -> None:
        """Make the bucket, if another proxy has not.

        Raises:
            PeerError: the store does not let the proxy.
            StrongroomError: the store cannot be reached.
        """
        async with self._store.exchange(StoreRequest(method="PUT", bucket=self.name)) as response:
            if response.status in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
                return
            error = await store_error(response)
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise error
        msg = f"the store has no bucket {self.name} for the proxy's own objects, and does not let it make one"
        hint = (
            f"make it, or set system_bucket to one that exists (the store answers {error.status} {error.code}); if"
            " there was one, restore it from a backup instead: it has the keyring"
        )
        raise SystemBucketError(msg, hint=hint)
