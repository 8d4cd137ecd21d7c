"""The dates of the wrapper's own certificate: a warning before it ends, and why a bridge refuses it."""

from time import time

from strongroom.validity import validity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from strongroom.validity import Validity

_MAX_BYTES = 1 << 20  # a certificate with its chain has some thousand


def warning_of_end(path: str) -> str:
    """Return what is to be said if the certificate ends soon, else ""."""
    validity = _validity(path)
    if validity is None or not validity.ends_soon(time()):
        return ""
    return f"our certificate {path} {_ends(validity)}; renew it, or launches will be refused"


def fault_of_dates(path: str) -> str:
    """Return what is wrong with the certificate's dates now, or ""."""
    validity = _validity(path)
    if validity is None or validity.not_before <= time() < validity.not_after:
        return ""
    return (
        f"it {_ends(validity)}" if time() >= validity.not_before else f"not valid until {moment(validity.not_before)}"
    )


def moment(seconds: float) -> str:
    """Return a time of the epoch as people read it."""
    from time import gmtime, strftime

    return strftime("%Y-%m-%d %H:%M UTC", gmtime(seconds))


def _ends(validity: "Validity") -> str:
    return f"{'ended' if validity.not_after <= time() else 'ends'} on {moment(validity.not_after)}"


def _validity(path: str) -> "Validity | None":
    try:
        with open(path, "rb") as file:
            return validity_of(file.read(_MAX_BYTES))
    except OSError:
        return None
