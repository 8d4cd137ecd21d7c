"""The page of errors: what clients of the bridge and of the S3 proxy are told."""

from bridge.fronts.answers import ANSWERS
from s3proxy.s3api.codes import CODES
from scripts.reference.markdown import code, codes, page, section, sentence, table
from strongroom.launch.problem import CAUSES
from strongroom.service.edges import edge_of


def errors_page() -> str:
    """Return the page."""
    own = sorted((one for one in CODES if not one.by_store), key=lambda one: one.name)
    passed = sorted(one.name for one in CODES if one.by_store)
    return page(
        "Errors",
        """
What clients are told, why, and what to do. Every answer has the id of its request, `x-request-id` or
`x-amz-request-id`: the server's log has a line with it, and there the reason and the hint.
""",
        section(
            "Of the S3 proxy",
            "The error codes are those of S3. The log's event `request_failed`, `object_refused` or "
            "`key_not_available` has the code, the reason, and a hint that is nearer to the case than this table.",
            table(
                ("code", "status", "cause", "what to do"),
                ((code(one.name), str(one.status), sentence(one.cause), sentence(one.cure)) for one in own),
            ),
            f"Only the store answers {codes(passed)}, and others of its own: they are passed on as they are.",
        ),
        section(
            "Of the bridge",
            "Problem documents (RFC 9457). A refusal of secrets lists them in `failures`, each with its `cause`: "
            f"{codes(CAUSES)}. The wrapper makes an [exit status](exit-statuses.md) of it, and prints the details.",
            table(
                ("status", "title", "cause", "what to do"),
                (
                    (str(edge.status), edge.title, sentence(one.cause), sentence(one.cure))
                    for edge, one in ((edge_of(one.kind), one) for one in ANSWERS)
                ),
            ),
        ),
        section("Of the wrapper", "[Exit statuses](exit-statuses.md), and the two lines on stderr."),
    )
