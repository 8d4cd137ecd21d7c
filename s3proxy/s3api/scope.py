"""The pieces of what a client says about its signature: credential, scope, signed headers, dates.

All three forms of authentication (header, query, POST form) have them and differ in the code they refuse by.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.signing_keys import Scope

MAX_SKEW: Final = timedelta(minutes=15)  # S3: "Authenticating Requests", "must be within 15 minutes"
DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"

HEADER_MALFORMED: Final = "AuthorizationHeaderMalformed"
QUERY_MALFORMED: Final = "AuthorizationQueryParametersError"

# Some clients take the host for the region, dots and all, and some have none. It decides nothing here; its key is kept
# before anybody knows who has named it, so it is no longer than a host.
_CREDENTIAL: Final = re.compile(
    r"(?P<id>[^/\s][^\s]*?)/(?P<date>[0-9]{8})/(?P<region>[!-.0-~]{0,255})/(?P<service>[a-z0-9-]+)/aws4_request"
)
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, section 5.6.2, in lower case


@dataclass(frozen=True, slots=True)
class SignedBy:
    """What a client says about its signature, well formed but not yet verified.

    Attributes:
        access_key_id: of the key.
        scope: of the signing key.
        timestamp: as it is signed, ``20130524T000000Z``.
        signature: 64 hexadecimal digits.
        signed_headers: lower-case names, in the order signed.
    """

    access_key_id: str
    scope: Scope
    timestamp: str
    signature: str
    signed_headers: tuple[str, ...] = ()


def parse_credential(text: str, *, code: str) -> tuple[str, Scope]:
    """Split ``AKID/20130524/us-east-1/s3/aws4_request``; an access key id may hold slashes.

    Raises:
        S3Error: ``code``, as it is malformed or for another service.
    """
    match = _CREDENTIAL.fullmatch(text)
    if match is None:
        msg = 'The credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        raise S3Error(code, msg)
    if match["service"] != "s3":
        raise S3Error(code, f'Incorrect service "{match["service"]}". This endpoint belongs to "s3".')
    return match["id"], Scope(match["date"], match["region"])


def parse_signature(text: str, *, code: str) -> str:
    """Return a signature.

    Raises:
        S3Error: ``code``, as it is not 64 lower-case hexadecimal digits.
    """
    if _SIGNATURE.fullmatch(text) is None:
        raise S3Error(code, "The signature must be 64 lower-case hexadecimal digits.")
    return text


def parse_signed_headers(text: str, *, code: str) -> tuple[str, ...]:
    """Split ``host;x-amz-date``.

    Raises:
        S3Error: ``code``, as a name is malformed, not in lower case or stands twice.
    """
    names = tuple(text.split(";"))
    if not all(HEADER_NAME.fullmatch(name) for name in names) or len(set(names)) != len(names):
        raise S3Error(code, "SignedHeaders must be distinct lower-case header names, separated by semicolons.")
    return names


def parse_timestamp(text: str, *, code: str) -> datetime:
    """Read ``20130524T000000Z``.

    Raises:
        S3Error: ``code``, as it is no such date.
    """
    try:
        if _DATE.fullmatch(text):
            day, moment = (int(text[:4]), int(text[4:6]), int(text[6:8])), (int(text[9:11]), int(text[11:13]))
            return datetime(*day, *moment, int(text[13:15]), tzinfo=UTC)  # strptime would take half the time of it all
    except ValueError:
        pass
    raise S3Error(code, "The date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\".")


def require_same_day(timestamp: str, scope: Scope, *, code: str) -> None:
    """Return if the scope is of the day of the request.

    Raises:
        S3Error: ``code``.
    """
    if timestamp[:8] != scope.date:
        msg = f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        raise S3Error(code, msg)


def require_recent(signed_at: datetime, *, now: datetime) -> None:
    """Return if a request was signed within MAX_SKEW of our time.

    Raises:
        S3Error: RequestTimeTooSkewed.
    """
    if abs(now - signed_at) > MAX_SKEW:
        code, msg = "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        details = {
            "RequestTime": signed_at.strftime(DATE_FORMAT),
            "ServerTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "MaxAllowedSkewMilliseconds": str(int(MAX_SKEW.total_seconds() * 1000)),
        }
        raise S3Error(code, msg, details=details)


def http_date(text: str) -> datetime | None:
    """Return a date as HTTP has it (RFC 9110, section 5.6.7) in UTC, or None if it is none."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter for what is beyond all calendars
        return None


def date_of(head: RequestHead) -> str:
    """Return when a request says it was made, as it is signed: ``x-amz-date``, or else ``Date``.

    Raises:
        S3Error: AccessDenied, as there is no valid date.
    """
    code = "AccessDenied"
    if head.has("x-amz-date"):
        text = head.header("x-amz-date")
        parse_timestamp(text, code=code)
        return text
    date = http_date(head.header("date"))
    if date is None:
        raise S3Error(code, "AWS authentication requires a valid Date or x-amz-date header")
    return date.strftime(DATE_FORMAT)
