"""From when until when a certificate is valid (RFC 5280, 4.1.2.5), for code that cannot afford a library to ask.

The wrapper asks at every launch about its own certificate, which OpenSSL has read before. What cannot be understood is
no error here: there is nothing to say about it then.
"""

from binascii import Error, a2b_base64
from time import gmtime, strftime, time

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S
_MAX_BYTES = 1 << 20  # of a file; a certificate with its chain has some thousand
_LENGTHS = {_UTC_TIME: 13, _GENERALIZED_TIME: 15}  # of YYMMDDHHMMSSZ and YYYYMMDDHHMMSSZ, the only forms allowed
_PIVOT = 50  # of the years of UTCTime


class Validity:
    """The two ends, in seconds of the epoch."""

    __slots__ = ("not_after", "not_before")

    def __init__(self, not_before: int, not_after: int) -> None:
        self.not_before = not_before
        self.not_after = not_after

    def ends_soon(self, now: float) -> bool:
        """Return whether it has ended, or will within a week and within the last tenth of its time.

        Anyone who renews certificates of an hour does it earlier than that.
        """
        return self.not_after - now < min(_WEEK_S, (self.not_after - self.not_before) / 10)


def read_validity(path: str) -> Validity | None:
    """Return the validity of the first certificate of a file, None if it cannot be told."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            return validity_of(file.read(_MAX_BYTES))
    except OSError:
        return None


def validity_of(pem: bytes) -> Validity | None:
    """Return the validity of the first certificate of a PEM file, None if it cannot be told."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    if begin < 0 or end < 0:
        return None
    try:
        certificate = _contents(a2b_base64(pem[begin + len(_BEGIN) : end]), 0, _SEQUENCE)[0]
        signed = _contents(certificate, 0, _SEQUENCE)[0]
        position = _contents(signed, 0, _VERSION)[1] if signed[0] == _VERSION else 0
        for _ in range(3):  # serial number, algorithm, issuer
            position = _contents(signed, position)[1]
        validity = _contents(signed, position, _SEQUENCE)[0]
        not_before, position = _time(validity, 0)
        return Validity(not_before, _time(validity, position)[0])
    except (Error, IndexError, ValueError):
        return None


def warning_of_end(path: str, validity: Validity) -> str:
    """Return what is to be said of a certificate that ends soon."""
    return f"our certificate {path} {_ends(validity)}; renew it, or launches will be refused"


def fault_of_dates(path: str) -> str:
    """Return what is wrong with the certificate's dates now, or ""."""
    validity = read_validity(path)
    if validity is None or validity.not_before <= time() < validity.not_after:
        return ""
    return (
        f"it {_ends(validity)}" if time() >= validity.not_before else f"not valid until {moment(validity.not_before)}"
    )


def moment(seconds: float) -> str:
    """Return a time of the epoch as people read it."""
    return strftime("%Y-%m-%d %H:%M UTC", gmtime(seconds))


def _ends(validity: Validity) -> str:
    return f"{'ended' if validity.not_after <= time() else 'ends'} on {moment(validity.not_after)}"


def _contents(der: bytes, position: int, tag: int = 0) -> tuple[bytes, int]:
    """Return what is in the element at a position, and the position behind it (X.690, 8.1).

    Raises:
        IndexError, ValueError: it is cut off, or of another kind.
    """
    if tag and der[position] != tag:
        raise ValueError
    size = der[position + 1]
    begin = position + 2
    if size & 0x80:  # the length of the length
        begin += size & 0x7F
        size = int.from_bytes(der[position + 2 : begin])
    end = begin + size
    if end > len(der):
        raise IndexError
    return der[begin:end], end


def _time(der: bytes, position: int) -> tuple[int, int]:
    tag = der[position]
    content, behind = _contents(der, position)
    digits = content[:-1]
    if len(content) != _LENGTHS.get(tag) or not digits.isdigit() or content[-1:] != b"Z":
        raise ValueError
    if tag == _UTC_TIME:
        digits = (b"19" if int(digits[:2]) >= _PIVOT else b"20") + digits
    year, month, day, hour, minute, second = (int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2)))
    return _days(year, month, day) * _DAY_S + hour * 3600 + minute * 60 + second, behind


def _days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date; years that begin in March have the leap day at their end."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)  # noqa: PLR2004 - February
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469
