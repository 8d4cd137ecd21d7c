"""What the policy says about a whole request, before anything is read. Pure."""

import json

from bridge.policy import Policy
from strongroom.errors import DeniedError
from strongroom.identity import SpiffeId
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.problem import DENIED, Failure

GRANTED = "granted"


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


def encode_plan(policy: Policy, identity: SpiffeId, request: BundleRequest) -> bytes:
    """Return what the policy says about each reference, as the answer of ``POST /v1/plan``: a JSON object.

    It is encoded piece by piece, because a thread that encodes all of it at once lets no other one run meanwhile.
    """
    entries: list[str] = []
    for entry in request.entries:
        for ref in entry.references:
            failure = _denial(policy, identity, entry.name, ref.path, ref.key)
            entries.append(
                json.dumps(
                    {
                        "name": entry.name,
                        "path": ref.path,
                        "key": ref.key,
                        "version": ref.version,
                        "allowed": failure is None,
                        "reason": failure.detail if failure else GRANTED,
                    }
                )
            )
    from_path: list[str] = []
    for source in request.from_paths:
        failure = _path_denial(policy, identity, source.path)
        from_path.append(
            json.dumps(
                {
                    "path": source.path,
                    "allowed": failure is None,
                    "reason": failure.detail if failure else "granted, for the keys that the policy names",
                }
            )
        )
    head = f'{{"identity": {json.dumps(str(identity))}, "entries": ['
    return f'{head}{", ".join(entries)}], "from_path": [{", ".join(from_path)}]}}'.encode()
