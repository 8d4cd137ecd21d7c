"""Multipart uploads: how parts, manifest and marker become one object, and what a crash leaves (ADR 0006).

**What there is at the store.** An upload of the client's is one upload of the store's, with the same id. Each part is
sealed as a segment of its own when it comes: its object id is the upload's tag (of bucket, key and upload id), it has
its number, and keys of this very attempt. The proxy keeps no state of an upload, so any process of any proxy can serve
each of its requests.

- The *marker* is a segment without body. Metadata can be given only when an upload is begun, and then nothing of the
  object is known yet; so its entry says just "multipart, under this policy, by this name".
- The *manifest* is sealed when the upload is completed. It lists numbers and plaintext lengths of all parts in their
  order, with the name and the checksum of the object, under the upload's tag. So parts cannot be dropped, swapped, cut
  or taken from another upload: the reader opens the manifest first, and each part must be what it lists.
- No object of ours may stand beside the client's. So the manifest is the *end of the last part*. Its length, and thus
  where it begins, follows from the number of parts, which the store's ETag tells.

**Which part carries it.** A store lets a part stand before others only from 5 MiB on. If the client's last part is that
long, one more part is added: an empty one with the manifest behind it. If it is shorter, it is uploaded again under its
number, the same sealed bytes and the manifest behind them. S3 has no way to read a part of an unfinished upload, and
nobody knows which one will be the last. So a copy of each part under 5 MiB is kept in the proxy's own bucket, by upload
tag, number and the store's ETag of that attempt (``kept``).

**From request to object.** ``upload`` speaks with the store, ``parts`` tells the client's parts from what completing
has added, ``plan`` decides without I/O what is to be done, and ``complete`` does it:

    list the parts, find the copies → plan → conditions, checksum → manifest → carrier → complete at the store → remove

**What a crash leaves**, or an answer that was lost, and how the client finds it:

- While a part is sent: no part, since its last chunk was not sent. The client sends it again.
- Between a small part and its copy: a part that the store lists and the proxy does not show. The client was told
  nothing of it and sends it again; the new attempt has another ETag, so the two are never mixed up.
- Between the carrier and completing: a part more, or a longer one under the last number. ``parts`` leaves the one out
  and shows the other as what the client sent, by the copy; completing again makes another carrier.
- While the store completes: either the object is there, whole, or the upload is. What was there under the name before
  stays until then, and the conditions are decided by the store together with the change.
- After that, before the client hears of it: it asks again, and the store knows no such upload any more. The object that
  stands there answers for it if its manifest is of this upload and of these attempts (``_meant_by``).
- Before the copies are removed: garbage that does no harm, under a prefix that a lifecycle rule may expire.
- A client that never comes back leaves an upload, as it does with S3: nothing of it is readable as an object.
"""
