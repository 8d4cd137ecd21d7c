"""What a TLS handshake that failed means to whoever has to mend it. Imported only when one has."""

import ssl

from strongroom.errors import PeerError
from wrapper.fetch.own_certificate import fault_of_dates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.settings import WrapperSettings

# X509_V_ERR_ of openssl/x509_vfy.h
_NOT_YET_VALID, _HAS_EXPIRED, _INVALID_PURPOSE, _HOSTNAME_MISMATCH, _IP_MISMATCH = 9, 10, 26, 62, 64


def refusal_of(error: ssl.SSLError, bridge: str, settings: "WrapperSettings") -> PeerError | None:
    """Return what is to be said, None if the connection was just lost.

    Args:
        error: of the handshake, or of what came right behind it.
        bridge: its host and port.
        settings: of this launch.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"bridge {bridge}: its certificate does not hold: {error.verify_message}"
        return PeerError(message, hint=_hint_for(error.verify_code, settings))
    reason = (error.reason or "").lower().replace("_", " ")
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return _refuses_ours(bridge, reason, settings.cert)
    if isinstance(error, ssl.SSLEOFError) or not reason:
        return None
    return PeerError(f"bridge {bridge}: TLS: {reason}", hint="does the address lead to the bridge's HTTPS port?")


def _hint_for(code: int, settings: "WrapperSettings") -> str:
    if code == _HAS_EXPIRED:
        return f"renew the bridge's certificate, or the authority that signed it (--ca {settings.ca})"
    if code == _NOT_YET_VALID:
        return "check the clocks of both machines; else the bridge's certificate was issued for later"
    if code in {_HOSTNAME_MISMATCH, _IP_MISMATCH}:
        return "name the bridge in STRONGROOM_BRIDGE as its certificate does, or issue that for this name, too"
    if code == _INVALID_PURPOSE:
        return "issue the bridge's certificate for servers: extended key usage serverAuth, or none"
    return f"--ca {settings.ca} must hold the authority that signed the bridge's certificate"


def _refuses_ours(bridge: str, reason: str, path: str) -> PeerError:
    message = f"bridge {bridge}: refuses our certificate: {reason}"
    fault = fault_of_dates(path)
    if fault:
        return PeerError(f"{message}: {fault}", hint=f"renew --cert {path}, or check the clock of this machine")
    return PeerError(message, hint=f"check --cert {path}: its issuer, its dates, its key usage")
