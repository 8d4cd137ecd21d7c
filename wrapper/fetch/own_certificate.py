"""The dates of the wrapper's own certificate: a warning before it ends, and why a bridge refuses it.

Imported only where there is something to say.
"""

from time import time

from strongroom.validity import read_validity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from strongroom.validity import Validity


def warning_of_end(path: str, validity: "Validity") -> str:
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
    from time import gmtime, strftime

    return strftime("%Y-%m-%d %H:%M UTC", gmtime(seconds))


def _ends(validity: "Validity") -> str:
    return f"{'ended' if validity.not_after <= time() else 'ends'} on {moment(validity.not_after)}"
