"""Sealed objects: what the proxy stores in S3 instead of objects. ``docs/object-format.md`` is the specification.

Pure: no I/O, no clock, no randomness of its own; salts, ids and nonces come in as arguments. Where to begin:

- ``segment``: begin one for writing, admit one for reading (bucket key in, segment keys out)
- ``sealer`` and ``opener``: the streams
- ``sizes`` and ``ranges``: arithmetic, which needs no key
- ``entry`` and ``manifest``: what binds a body to its name, and parts to each other
- ``wrapping`` and ``keyring``: bucket keys at rest
- ``offline``: a whole stored object, opened without its store
"""
