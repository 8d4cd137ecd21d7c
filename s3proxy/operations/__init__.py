"""The operations: what serves a request of a client that was authenticated and allowed.

Each has what it works with, serves one request (``Incoming``) after the other, and has answered it when it returns. It
raises a StrongroomError if the request is refused, here or by the store.
"""
