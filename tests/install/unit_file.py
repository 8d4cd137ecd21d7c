"""Unit files as systemd reads them, as far as those of deploy/systemd go (systemd.unit(5), systemd.exec(5))."""

import shlex
from pathlib import Path

UNITS = Path("/etc/systemd/system")

# What the stand-in for systemd carries out, and what it leaves to `systemd-analyze verify`. A directive in neither is
# an error, so that nothing which a unit begins to rely on goes untested unnoticed.
CARRIED_OUT = frozenset({
    "AmbientCapabilities", "CapabilityBoundingSet", "Environment", "ExecReload", "ExecStart", "LimitCORE",
    "LimitMEMLOCK", "LimitNOFILE", "LoadCredential", "LogsDirectory", "LogsDirectoryMode", "MemoryDenyWriteExecute",
    "NoNewPrivileges", "PrivateTmp", "ProcSubset", "ProtectHome", "ProtectProc", "ProtectSystem",
    "RestrictAddressFamilies", "SystemCallErrorNumber", "SystemCallFilter", "TimeoutStopSec", "Type", "UMask", "User",
    "WatchdogSec",
})  # fmt: skip
ONLY_VERIFIED = frozenset({
    "After", "Description", "LockPersonality", "PrivateDevices", "PrivateUsers", "ProtectClock",
    "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
    "RemoveIPC", "Restart", "RestartPreventExitStatus", "RestartSec", "RestrictNamespaces", "RestrictRealtime",
    "RestrictSUIDSGID", "SystemCallArchitectures", "WantedBy", "Wants",
})  # fmt: skip


class Unit:
    """One unit, with its specifiers put in.

    Attributes:
        name: with its instance, without ``.service``.
        credentials: the directory of its credentials.
    """

    def __init__(self, name: str, folder: Path = UNITS) -> None:
        self.name = name.removesuffix(".service")
        template, at, instance = self.name.partition("@")
        self.credentials = Path("/run/credentials") / f"{self.name}.service"
        self._specifiers = {"%i": instance, "%d": str(self.credentials), "%%": "%"}
        self._values: dict[str, list[str]] = {}
        for line in (folder / f"{template}{at}.service").read_text().splitlines():
            if line.startswith(("#", "[")) or not line.strip():
                continue
            key, _, value = line.partition("=")
            if key not in CARRIED_OUT | ONLY_VERIFIED:
                msg = f"{name}: {key} is neither carried out by the stand-in for systemd nor left to be verified alone"
                raise ValueError(msg)
            self._values.setdefault(key, []).append(self._expanded(value))

    def all(self, key: str) -> list[str]:
        return self._values.get(key, [])

    def one(self, key: str, default: str = "") -> str:
        return self.all(key)[-1] if key in self._values else default

    def is_on(self, key: str) -> bool:
        return self.one(key) == "yes"

    def has(self, key: str) -> bool:
        return key in self._values

    def command(self, key: str) -> list[str]:
        return shlex.split(self.one(key))

    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for line in self.all("Environment") for word in shlex.split(line))

    def loaded_credentials(self) -> dict[str, Path]:
        return {name: Path(path) for name, _, path in (value.partition(":") for value in self.all("LoadCredential"))}

    def _expanded(self, value: str) -> str:
        for specifier, meaning in self._specifiers.items():
            value = value.replace(specifier, meaning)
        return value
