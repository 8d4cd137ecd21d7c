"""A server's own certificate as its operator must know it: until when it holds, and whether clients take it.

What is told here warns, and stops nothing: anyone who runs the server may know better what its clients look at.
"""

import logging
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from strongroom.service.logs import log_event
from strongroom.service.peer import MALFORMED, extension_of
from strongroom.validity import moment

_log = logging.getLogger(__name__)
_DAY_S = 86_400
# Seconds before the end, and the least part of its time that is left then: who renews certificates of an hour does
# that much earlier. And what is said from then on, once each.
_STAGES = ((7 * _DAY_S, 10, logging.WARNING), (_DAY_S, 50, logging.WARNING), (0, 1, logging.ERROR))
_EVENTS = ("certificate_ends", "certificate_ended")
_EVENTS_OF_AUTHORITY = ("authority_ends", "authority_ended")
_HINT = "renew it and put it in its place; it is taken up without a restart"
_HINT_FOR_AUTHORITY = "add its successor to the file, and issue what it has signed anew; the file is followed"


@dataclass(frozen=True)
class ServedCertificate:
    """What a file of a certificate with its chain says.

    Attributes:
        file: where it is.
        not_before: begin of the certificate's validity, seconds of the epoch.
        not_after: its end.
        faults: why clients may refuse it, beside its dates.
    """

    file: str
    not_before: float
    not_after: float
    faults: tuple[str, ...] = ()

    def has_ended(self, now: float) -> bool:
        """Return whether clients refuse it now."""
        return self.not_after <= now

    def describe(self, now: float) -> str:
        """Return until when it holds, for a person."""
        end = moment(self.not_after)
        return f"the certificate ended on {end}" if self.has_ended(now) else f"the certificate holds until {end}"


class EndWatch:
    """Tells that a certificate ends: a week before (or a tenth of its time), a day before, and when it has."""

    def __init__(self, *, of_authority: bool = False) -> None:
        """Begin with nothing told; ``of_authority`` says that it is one that others are signed by."""
        self._events = _EVENTS_OF_AUTHORITY if of_authority else _EVENTS
        self._hint = _HINT_FOR_AUTHORITY if of_authority else _HINT
        self._told: tuple[float, int] = (0.0, 0)  # of which end, how many stages

    def look(self, certificate: ServedCertificate, now: float) -> None:
        """Log it if one more stage is reached. Call this now and then."""
        left_s, lifetime_s = certificate.not_after - now, certificate.not_after - certificate.not_before
        reached = sum(left_s <= min(before_s, lifetime_s / part) for before_s, part, _ in _STAGES)
        told = self._told[1] if self._told[0] == certificate.not_after else 0
        self._told = (certificate.not_after, max(reached, told))
        if reached > told:
            fields = {"file": certificate.file, "not_after": moment(certificate.not_after), "hint": self._hint}
            log_event(
                _log,
                _STAGES[reached - 1][-1],
                self._events[left_s <= 0],
                fields | {"days_left": round(max(left_s, 0) / _DAY_S, 1)},
            )


def read_served(file: str, content: bytes, now: float) -> ServedCertificate:
    """Read a certificate with its chain.

    Args:
        file: where it is, for messages.
        content: PEM that OpenSSL has taken.
        now: seconds of the epoch.
    """
    own, *chain = x509.load_pem_x509_certificates(content)
    faults = _faults(own)
    # Clients may know another way to a root, so this is not a reason to stop.
    ended = (one for one in chain if one.not_valid_after_utc.timestamp() <= now)
    faults += [f"a certificate of its chain has ended: {one.subject.rfc4514_string()[:200]}" for one in ended]
    ends = (own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp())
    return ServedCertificate(file, *ends, tuple(faults))


def warn_of_faults(certificate: ServedCertificate) -> None:
    """Log each reason for which clients may refuse a certificate."""
    for fault in certificate.faults:
        hint = "issue it with the names that clients use, for serverAuth, with a chain that holds"
        log_event(_log, logging.WARNING, "certificate_unfit", {"file": certificate.file, "reason": fault, "hint": hint})


def _faults(certificate: x509.Certificate) -> list[str]:
    """Return what clients look for in a server's certificate and do not find (RFC 9525, 6; RFC 5280, 4.2.1.12)."""
    faults = []
    try:
        names = extension_of(certificate, x509.SubjectAlternativeName)
        usage = extension_of(certificate, x509.ExtendedKeyUsage)
    except (ValueError, *MALFORMED):
        return ["its extensions are malformed"]
    kinds = (x509.DNSName, x509.IPAddress)
    if not any(isinstance(name, kinds) for name in names or ()):
        faults.append("it has no name of a host or address (subjectAltName): clients that check names refuse it")
    fit = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not fit.intersection(usage):
        faults.append("it is not for servers (its extended key usage has no serverAuth): clients refuse it")
    return faults
