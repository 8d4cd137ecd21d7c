"""Sealing anew what is sealed under another policy than its name has now, object by object, while clients go on.

What is read is whole and of its name, or it is left and named. It is put in its own place if it still is the object
that was read (If-Match), so nothing that a client writes meanwhile is lost, and what is not written is as it was.
What is under its policy already is left, so a run that was aborted is simply begun again.
"""

from collections.abc import Callable

from s3proxy.exchange.outgoing import PlainBody
from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.keys.policies import EtagMode
from s3proxy.s3api.object_headers import answer_headers
from s3proxy.storage import Storage
from s3proxy.stored.read import Name, Read
from s3proxy.stored.whole import SealedObject, WholeObject
from s3proxy.tools.migration import THROUGH_PROXY, Body, Migration, MigrationReport, kept_of, require_one_request
from strongroom.errors import ConfigError, PeerError


class Resealing(Migration):
    """Seals one bucket anew. ``sealed`` of its report counts what is under its policy already.

    Attributes:
        keyless: why keys of objects that were left are not available.
    """

    def __init__(  # noqa: PLR0913 - what there is to know
        self,
        storage: Storage,
        bucket: str,
        *,
        buffered_bytes: int,
        dry_run: bool,
        everything: bool = False,
        progress: Callable[[MigrationReport], None] = lambda _: None,
    ) -> None:
        """Take the bucket.

        Args:
            storage: store, policies and keys.
            bucket: which.
            buffered_bytes: up to which size plaintexts are read before they are sent on.
            dry_run: whether nothing is written.
            everything: whether what is under its policy already is sealed anew, too: where a keyring was lost.
            progress: told after each object.
        """
        super().__init__(storage, bucket, buffered_bytes=buffered_bytes, dry_run=dry_run, progress=progress)
        self._everything = everything
        self.keyless: list[KeyNotAvailableError] = []

    async def _seal(self, name: Name) -> None:
        """Seal one object anew if it is under another policy.

        Raises:
            StrongroomError: it cannot be, or was changed meanwhile.
        """
        policy = self._policy_of(name, hint='to have it sealed, set mode = "migrate" and run s3 seal-bucket')
        try:
            found = await self._storage.objects.finder.look(Read(name, policy))
        except KeyNotAvailableError as error:
            self.keyless.append(error)
            self.report.left[name.key] = error.message
            return
        if not isinstance(found, SealedObject):
            msg = "it is plaintext, which strongroom s3 seal-bucket seals"
            raise ConfigError(msg, hint="run strongroom s3 seal-bucket BUCKET")
        if found.segment.header.policy == policy.name and not self._everything:
            self.report.sealed += 1
            return
        if found.attributes.metadata is not None:
            raise PeerError("its user metadata is sealed; copy it onto itself through the proxy", hint=THROUGH_PROXY)
        size = await found.size()
        require_one_request(size)
        if not self._dry_run:
            headers = kept_of(answer_headers(found.store_headers)) | await self._tags(name)
            # The plaintext comes with the checksum that it had, and with its MD5 if ETags are that.
            checksum = (await found.digests()).checksum if isinstance(found, WholeObject) else None
            want_md5 = policy.etag is EtagMode.MD5
            body = Body(found.pieces(0, size - 1), size, want_md5=want_md5, checksum=checksum)
            headers["if-match"] = f'"{found.store_etag}"'
            await self._writer.write(name, policy, headers, PlainBody(size, body.pieces(), body.finish))
        self.report.done += 1
