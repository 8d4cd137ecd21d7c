"""The S3 protocol: what a request is, who sends it, and whether its body is what it claims to be.

Nothing here opens a socket or looks at a clock; aiohttp is not imported. In the order of a request: ``head``, ``sigv4``
(who sent it), ``operations`` (what it asks for, by ``rules``), ``access``, ``claims`` and ``body``; ``errors`` for what
is refused, ``xml_read``, ``documents`` and ``xml_write``; ``signer`` signs what goes to the store.

All of it is safe to call in a thread: objects are used by one request at a time, and SigningKeys takes a lock.
"""
