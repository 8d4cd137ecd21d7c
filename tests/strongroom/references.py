"""References for property tests, and how they are written."""

from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.launch.reference import FILTERS, Reference, check_path

LAST_VERSION = 2**63 - 1


def is_path(text: str) -> bool:
    try:
        check_path(text)
    except ConfigError:
        return False
    return True


PRINTABLE = st.characters().filter(str.isprintable)
PATHS = st.lists(st.text(PRINTABLE, min_size=1, max_size=12), min_size=2, max_size=5).map("/".join).filter(is_path)
KEYS = st.text(PRINTABLE | st.sampled_from("#?{}%| "), min_size=1, max_size=20)
DEFAULTS = st.text().filter(
    lambda text: (
        not text.startswith(("bao:", "vault:"))
        and not any(f"{mark}{{{scheme}" in text for mark in "$@" for scheme in ("bao:", "vault:"))
        and not text.endswith(tuple(f"|{name}" for name in FILTERS))
    )
)
VERSIONS = st.integers(0, LAST_VERSION)
FILTER_NAMES = st.sampled_from(["", *FILTERS])


def references(defaults: st.SearchStrategy[str] = DEFAULTS) -> st.SearchStrategy[Reference]:
    return st.one_of(
        st.builds(Reference, PATHS, KEYS, version=VERSIONS, optional=st.booleans(), filter_name=FILTER_NAMES),
        st.builds(Reference, PATHS, KEYS, version=VERSIONS, default=defaults, filter_name=FILTER_NAMES),
    )


SCHEMES = st.sampled_from(["bao:", "vault:"])


def written(scheme: str, reference: Reference) -> str:
    option = "?optional" if reference.optional else ""
    if reference.default is not None:
        option = f"?default={reference.default}"
    return f"{scheme}{reference}{option}"
