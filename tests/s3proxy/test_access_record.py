"""What the access log says of a request has a bound, whatever client and store put into it."""

import json

from s3proxy.exchange.access_record import AccessRecord, Decision, DeletedKey, request_lines


def test_what_the_store_tells_of_a_deleted_key_is_cut() -> None:
    """A code of 600 KB for a key that a client names a thousand times was 1.2 GB of records in the making."""
    deleted = [DeletedKey("k", "", Decision.ALLOWED, "C" * 100_000), DeletedKey("k", "", Decision.ALLOWED, "")]
    record = AccessRecord("id", 0.0, "127.0.0.1", "/b", deleted=deleted, requester="owner")
    lines = request_lines(record, seconds=1.0, store_request_ids=()).splitlines()
    assert [json.loads(line)["error_code"] for line in lines] == [None, "C" * 100, None]
