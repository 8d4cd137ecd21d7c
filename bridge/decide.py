"""What the policy says about a whole request, before anything is read. Pure."""

from bridge.policy import Policy
from strongroom.bundle import BundleRequest
from strongroom.errors import DeniedError
from strongroom.identity import SpiffeId
from strongroom.problem import DENIED, Failure


def denials(policy: Policy, identity: SpiffeId, request: BundleRequest) -> list[Failure]:
    """Return a failure for each reference and each whole path that the policy denies."""
    failures = [
        _denial(policy, identity, entry.name, ref.path, ref.key)
        for entry in request.entries
        for ref in entry.references
    ]
    failures += [_path_denial(policy, identity, source.path) for source in request.from_paths]
    return [failure for failure in failures if failure is not None]


def _denial(policy: Policy, identity: SpiffeId, name: str, path: str, key: str) -> Failure | None:
    try:
        policy.require(identity, path, key)
    except DeniedError as error:
        return Failure(name=name, path=path, key=key, cause=DENIED, detail=error.message)
    return None


def _path_denial(policy: Policy, identity: SpiffeId, path: str) -> Failure | None:
    try:
        policy.require_some(identity, path)
    except DeniedError as error:
        return Failure(name="", path=path, key="", cause=DENIED, detail=error.message)
    return None


def plan_of(policy: Policy, identity: SpiffeId, request: BundleRequest) -> dict[str, object]:
    """Return what the policy says about each reference, as the answer of ``POST /v1/plan``."""
    entries: list[dict[str, object]] = []
    for entry in request.entries:
        for ref in entry.references:
            failure = _denial(policy, identity, entry.name, ref.path, ref.key)
            entries.append(
                {
                    "name": entry.name,
                    "path": ref.path,
                    "key": ref.key,
                    "version": ref.version,
                    "allowed": failure is None,
                    "reason": failure.detail if failure else "granted",
                }
            )
    from_path: list[dict[str, object]] = []
    for source in request.from_paths:
        failure = _path_denial(policy, identity, source.path)
        from_path.append(
            {
                "path": source.path,
                "allowed": failure is None,
                "reason": failure.detail if failure else "granted, for the keys that the policy names",
            }
        )
    return {"identity": str(identity), "entries": entries, "from_path": from_path}
