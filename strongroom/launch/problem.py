"""Errors on the wire: problem details for HTTP APIs (RFC 9457).

    {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "2 of 3 secrets are refused",
     "failures": [{"name": "DB_PASSWORD", "path": "kv/shop/db", "key": "password", "cause": "denied",
                   "detail": "no grant of …"}]}

``failures`` is our extension member (section 3.2): one item for each reference that stopped the bundle. Pure; the
bridge writes with it and the wrapper reads with it. No member ever holds a value.
"""

import json

PROBLEM_MEDIA_TYPE = "application/problem+json"

# What stopped one reference. The wrapper derives its exit status from these.
DENIED = "denied"  # by the bridge's policy or by OpenBao's
MISSING = "missing"  # no such path, key or version, or the version was deleted
UNDELIVERABLE = "undeliverable"  # exists and may be read, but cannot be a variable
CAUSES = (DENIED, MISSING, UNDELIVERABLE)

MAX_LISTED_FAILURES = 50


class Failure:
    """One reference that could not be served, and why.

    Attributes:
        name: the variable, or "" for a whole path.
        path: the path of the secret.
        key: the key, or "" for a whole path.
        cause: one of CAUSES.
        detail: one line for a person.
    """

    __slots__ = ("cause", "detail", "key", "name", "path")

    def __init__(self, *, name: str, path: str, key: str, cause: str, detail: str) -> None:
        self.name = name
        self.path = path
        self.key = key
        self.cause = cause
        self.detail = detail

    def to_document(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"name": self.name, "path": self.path, "key": self.key, "cause": self.cause, "detail": self.detail}


class Problem:
    """What the bridge answers instead of a bundle."""

    __slots__ = ("detail", "failures", "status", "title")

    def __init__(self, *, status: int, title: str, detail: str, failures: list[Failure] | None = None) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.failures = failures or []


def encode_problem(problem: Problem) -> bytes:
    """Write a problem as JSON, with at most MAX_LISTED_FAILURES failures."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.failures:
        document["failures"] = [failure.to_document() for failure in problem.failures[:MAX_LISTED_FAILURES]]
    return json.dumps(document).encode()


def decode_problem(status: int, body: bytes) -> Problem:
    """Read a problem from whatever a server sent with an error status; never fails.

    Text from the other side ends up on a terminal, so control characters are taken out and lengths are limited.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Problem(status=status, title="", detail="the answer is not a problem document (RFC 9457)")
    listed = document.get("failures")
    failures = [
        Failure(
            name=printable(item.get("name")),
            path=printable(item.get("path")),
            key=printable(item.get("key")),
            cause=cause,
            detail=printable(item.get("detail")),
        )
        for item in (listed if isinstance(listed, list) else [])[:MAX_LISTED_FAILURES]
        if isinstance(item, dict) and (cause := printable(item.get("cause"))) in CAUSES
    ]
    return Problem(
        status=status,
        title=printable(document.get("title")),
        detail=printable(document.get("detail")),
        failures=failures,
    )


def printable(value: object) -> str:
    """Return a string from the other side as a terminal may show it; what is not text becomes an empty one."""
    return "".join(c for c in value if c.isprintable())[:1000] if isinstance(value, str) else ""
