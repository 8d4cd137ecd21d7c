"""Who may read what: grants of paths and keys to identities, and nothing else is allowed. Pure.

It decides before anything is read, and on canonical paths only (``strongroom.launch.reference.check_path`` lets no
other in), so one text names one secret. It does not know whether a secret exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from strongroom.errors import ConfigError, DeniedError
from strongroom.glob import Glob
from strongroom.identity import SpiffeId, parse_spiffe_id
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.problem import DENIED, Failure
from strongroom.launch.reference import check_path

_MAX_CACHED_IDENTITIES = 4096
_TOLD_IN_FULL = 100  # of the denials of a request: an identity has up to 2 KiB, and a reference may have 25 bytes


@dataclass(frozen=True)
class Grant:
    """One rule: these identities may read these keys of these paths."""

    identities: tuple[Glob, ...]
    paths: tuple[Glob, ...]
    keys: tuple[Glob, ...]


def make_grant(*, identities: Sequence[str], paths: Sequence[str], keys: Sequence[str] = ("*",)) -> Grant:
    """Check and compile one grant.

    Args:
        identities: patterns of SPIFFE identities; the trust domain is written out.
        paths: patterns of secret paths, mount first, without ``/data/``.
        keys: patterns of keys; a key has no segments, so ``*`` is anything.

    Raises:
        ConfigError: a list is empty or a pattern can never match or is malformed.
    """
    for name, patterns in (("identity", identities), ("paths", paths), ("keys", keys)):
        if not patterns:
            msg = f"{name}: is empty, so the grant gives nothing"
            raise ConfigError(msg, hint=f"name at least one of {name}, or remove the grant")
    return Grant(
        identities=tuple(_identity_glob(pattern) for pattern in identities),
        paths=tuple(_path_glob(pattern) for pattern in paths),
        keys=tuple(Glob(pattern, separator="") for pattern in keys),
    )


def _identity_glob(pattern: str) -> Glob:
    glob = Glob(pattern)
    try:
        identity = parse_spiffe_id(pattern.replace("*", "x"))
    except DeniedError as error:
        msg = f"identity {pattern!r}: cannot match a SPIFFE identity"
        raise ConfigError(msg, hint="write for example spiffe://example.org/ns/shop/sa/*") from error
    if not pattern.startswith(f"spiffe://{identity.trust_domain}"):
        msg = f"identity {pattern!r}: has a star in its trust domain"
        raise ConfigError(msg, hint="write the trust domain out; anyone who runs another one could name anything in it")
    return glob


def _path_glob(pattern: str) -> Glob:
    glob = Glob(pattern)
    try:
        check_path(pattern.replace("**", "x/x").replace("*", "x"))
    except ConfigError as error:
        msg = f"path {pattern!r}: cannot match a secret path"
        raise ConfigError(msg, hint="write MOUNT/PATH as `bao kv get` takes it, for example kv/shop/*") from error
    return glob


@dataclass(frozen=True)
class Policy:
    """All grants."""

    grants: tuple[Grant, ...]
    _of_identity: dict[str, tuple[Grant, ...]] = field(default_factory=dict, repr=False, compare=False)

    def require(self, identity: SpiffeId, path: str, key: str) -> None:
        """Return if ``identity`` may read ``key`` of ``path``.

        Raises:
            DeniedError: it may not; the message says which part of the rules stands in the way.
        """
        _require_key(self.require_some(identity, path), identity, path, key)

    def require_named(self, identity: SpiffeId) -> tuple[Grant, ...]:
        """Return the grants that name ``identity``.

        Raises:
            DeniedError: there is none.
        """
        own = self._grants_of(str(identity))
        if not own:
            msg = f"no grant names {identity}"
            raise DeniedError(msg, hint="add a grant for this identity to the policy file of the bridge")
        return own

    def require_some(self, identity: SpiffeId, path: str) -> tuple[Grant, ...]:
        """Return the grants by which ``identity`` may read at least some keys of ``path``.

        Raises:
            DeniedError: there is none.
        """
        own = self.require_named(identity)
        grants = tuple(grant for grant in own if any(pattern.matches(path) for pattern in grant.paths))
        if not grants:
            msg = f"no grant gives {identity} the path {path}"
            raise DeniedError(msg, hint="the policy grants other paths to this identity")
        return grants

    def _grants_of(self, identity: str) -> tuple[Grant, ...]:
        cached = self._of_identity.get(identity)
        if cached is None:
            if len(self._of_identity) >= _MAX_CACHED_IDENTITIES:
                self._of_identity.clear()
            cached = tuple(
                grant for grant in self.grants if any(pattern.matches(identity) for pattern in grant.identities)
            )
            self._of_identity[identity] = cached
        return cached


def _require_key(grants: tuple[Grant, ...], identity: SpiffeId, path: str, key: str) -> None:
    if not any(pattern.matches(key) for grant in grants for pattern in grant.keys):
        msg = f"no grant gives {identity} the key {key!r} of {path}"
        raise DeniedError(msg, hint="the policy grants other keys of this path")


def denials(policy: Policy, identity: SpiffeId, request: BundleRequest) -> list[Failure]:
    """Return a failure for each reference and each whole path of a request that the policy denies.

    Whom it denies them to is said of the first of them.
    """
    failures: list[Failure] = []

    def deny(name: str, path: str, key: str, error: DeniedError) -> None:
        detail = error.message
        if len(failures) >= _TOLD_IN_FULL:
            detail = detail.replace(str(identity), "this identity", 1)
        failures.append(Failure(name=name, path=path, key=key, cause=DENIED, detail=detail))

    of_path: dict[str, tuple[Grant, ...]] = {}  # of this request: most of it is of few paths
    for entry in request.entries:
        for ref in entry.references:
            try:
                grants = of_path.get(ref.path)
                if grants is None:
                    grants = of_path[ref.path] = policy.require_some(identity, ref.path)
                _require_key(grants, identity, ref.path, ref.key)
            except DeniedError as error:
                deny(entry.name, ref.path, ref.key, error)
    for source in request.from_paths:
        try:
            policy.require_some(identity, source.path)
        except DeniedError as error:
            deny("", source.path, "", error)
    return failures
