"""A fake of the port through which the service reads secrets; one contract test runs against it and the real one."""

from collections.abc import Mapping

from strongroom.errors import DeniedError, NotFoundError, StrongroomError
from strongroom.openbao.kv import Reading


class FakeSecretSource:
    """Holds versions of secrets in a dict; a version that is None was deleted."""

    def __init__(
        self,
        secrets: Mapping[str, list[Mapping[str, object] | None]],
        *,
        denied: frozenset[str] = frozenset(),
        failing: Mapping[str, StrongroomError] | None = None,
    ) -> None:
        self._secrets = secrets
        self._denied = denied
        self._failing = failing or {}
        self.reads: list[tuple[str, int]] = []

    async def read(
        self,
        path: str,
        version: int,
        keys: frozenset[str] | None = None,
        *,
        identity: str = "",  # noqa: ARG002
    ) -> Reading:
        self.reads.append((path, version))
        if path in self._failing:
            raise self._failing[path]
        if path in self._denied:
            raise DeniedError(f"OpenBao does not let the bridge read {path}")
        versions = self._secrets.get(path)
        if versions is None:
            raise NotFoundError(f"there is no secret at {path}")
        if version > len(versions):
            raise NotFoundError(f"there is no version {version} of {path}")
        number = version or len(versions)
        data = versions[number - 1]
        if data is None:
            raise NotFoundError(f"version {number} of {path} was deleted")
        return Reading(number, {key: value for key, value in data.items() if keys is None or key in keys})
