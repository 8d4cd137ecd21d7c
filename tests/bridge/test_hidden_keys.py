"""What a caller hears of a whole path does not depend on the names of keys that the policy does not grant."""

from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.policy import Policy, make_grant
from bridge.resolve import Place, Resolution, resolve
from strongroom.errors import DeniedError
from strongroom.identity import parse_spiffe_id
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.problem import Failure
from strongroom.launch.whole_path import FromPath
from strongroom.openbao.kv import Reading

PATH = "kv/shop/db"
API = parse_spiffe_id("spiffe://example.org/ns/shop/sa/api")
KEYS = st.text("ab", min_size=1, max_size=4)
PATTERNS = st.lists(st.sampled_from("ab*"), min_size=1, max_size=4).map("".join).filter(lambda text: "***" not in text)
SOME_PATTERNS = st.lists(PATTERNS, max_size=3).map(tuple)


def resolved(policy: Policy, source: FromPath, keys: list[str]) -> Resolution:
    outcomes = {Place(PATH, 0): Reading(1, dict.fromkeys(keys, "x"))}
    request = BundleRequest([], [source], frozenset())
    return resolve(request, outcomes, lambda path, key: policy.require(API, path, key), kept_bytes=1000)


def is_granted(policy: Policy, key: str) -> bool:
    try:
        policy.require(API, PATH, key)
    except DeniedError:
        return False
    return True


def told_by(failure: Failure) -> tuple[str, ...]:
    return failure.name, failure.path, failure.key, failure.cause, failure.detail


@given(
    granted=st.lists(PATTERNS, min_size=1, max_size=3),
    include=SOME_PATTERNS,
    exclude=SOME_PATTERNS,
    keys=st.lists(KEYS, max_size=4),
    hidden=st.tuples(KEYS, KEYS),
)
def test_no_pattern_tells_one_hidden_key_from_another(
    granted: list[str], include: tuple[str, ...], exclude: tuple[str, ...], keys: list[str], hidden: tuple[str, str]
) -> None:
    policy = Policy((make_grant(identities=[str(API)], paths=[PATH], keys=granted),))
    assume(not any(is_granted(policy, key) for key in hidden))
    assume(not set(hidden) & set(exclude))  # who names a whole key learns whether it is there
    source = FromPath(PATH, include=include, exclude=exclude)
    known = [key for key in keys if is_granted(policy, key)]
    one, other = (resolved(policy, source, [*known, key]) for key in hidden)
    assert [told_by(failure) for failure in one.failures] == [told_by(failure) for failure in other.failures]
    assert one.entries == other.entries
    assert {name for name, _ in one.entries} <= set(known)
