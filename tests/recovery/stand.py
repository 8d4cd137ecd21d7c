"""What docs/recovery.md is about, on loopback: OpenBao on disk, a store, a proxy; the page's names lead to them."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.dev.authority import Authority
from cli.dev.openbao import OpenBaoServer
from cli.dev.s3proxy import ProxyProcess
from cli.dev.seaweed import SeaweedServer
from cli.dev.transit import offer_transit
from tests.install.page import Step, steps_of
from tests.s3proxy.conftest import client_of
from tests.support.launches import ROOT

PAGE = ROOT / "docs/recovery.md"
COMMANDS = "The commands on this page"
BACKUP = "What to back up"
POLICY = '[[policy]]\nname = "orders"\nkek = "transit:orders"\nbuckets = ["orders"]\n'
# Each object has a bucket key of its own, and none is kept: symptoms come at once, and every key is tried.
NO_CACHE = {"bucket_key_ttl_s": 0, "unwrap_cache_s": 0, "reload_interval_s": 0.05}
PATIENCE_S = 90.0  # the keys of policies are tried every 30 s
STEP_S = 120.0
# What only looks is repeated until it shows what the page says; everything else is done once.
_LOOKS = re.compile(
    r"curl |journalctl |openssl |echo probe \| client s3 cp |client s3api get-object |"
    r"strongroom s3 (verify|rewrap; echo|rewrap --dry-run)|bao (read|list|status|kv get)"
)
_APPLES = {"1.txt": b"seven apples\n", "late.txt": b"late pears\n"}


class Stand:
    """All of it, and a reader who has the page."""

    def __init__(self, directory: Path, openbao: OpenBaoServer, store: SeaweedServer, proxy: ProxyProcess) -> None:
        self.directory = directory
        self.openbao = openbao
        self.store = store
        self.proxy = proxy
        self._steps = steps_of(PAGE.read_text())
        self._bin = directory / "bin"
        self._logs = {"strongroom-s3proxy@8191": proxy.log_file}
        self._lay_out()

    def client(self) -> contextlib.closing[Any]:
        return contextlib.closing(client_of(self.proxy.url, self.proxy.access_key, self.proxy.secret_key))

    def follow(self, section: str) -> None:
        """Back up as the page says, then do one drill; afterwards every object is read as it was.

        Raises:
            AssertionError: a command failed, something else was to be seen than the page says, or an object is lost.
        """
        with self.client() as s3:
            s3.put_object(Bucket="orders", Key="1.txt", Body=_APPLES["1.txt"])
            self._steps_of(BACKUP)
            s3.put_object(Bucket="orders", Key="late.txt", Body=_APPLES["late.txt"])
        for log in self._logs.values():
            os.truncate(log, 0)
        self._steps_of(section)
        with self.client() as s3:
            for key, body in _APPLES.items():
                assert s3.get_object(Bucket="orders", Key=key)["Body"].read() == body

    def _steps_of(self, section: str) -> None:
        steps = [step for step in self._steps if step.section == section]
        assert steps, section
        for step in steps:
            self._take(step)

    def _take(self, step: Step) -> None:
        looks = all(_LOOKS.match(line) for line in step.commands.splitlines() if not line.startswith((" ", "#")))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, output = self._run(step.commands, stop_at_failure=not looks)
            unseen = step.unseen(output)
            if not unseen and (looks or status == 0):
                return
            told = f"{step.section}: status {status}, not seen: {unseen}\n{step.commands}\n{output}"
            assert looks, told
            assert time.monotonic() < deadline, told
            time.sleep(0.5)

    def _run(self, commands: str, *, stop_at_failure: bool) -> tuple[int, str]:
        (prelude,) = (step.commands for step in self._steps if step.section == COMMANDS)
        script = self._here(prelude + ("set -e -o pipefail\n" if stop_at_failure else "") + commands)
        environ = {
            "PATH": f"{self._bin}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.directory),
            "BAO_ADDR": self.openbao.address,
            "BAO_CACERT": str(self.openbao.ca_file),
            "BAO_TOKEN": self.openbao.admin.token,
            "STORE_ACCESS_KEY_ID": self.store.access_key,
            "STORE_SECRET_ACCESS_KEY": self.store.secret_key,
        }
        result = subprocess.run(
            ["bash", "-c", script],
            env=environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        return result.returncode, result.stdout

    def _here(self, text: str) -> str:
        """Put what is on this machine in the place of the page's names."""
        places = {
            "/opt/strongroom/current/bin": str(Path(sys.executable).parent),
            "/etc/strongroom/credentials/s3proxy.": f"{self.directory}/login/",
            "/etc/strongroom/credentials/": f"{self.proxy.directory}/",
            "/etc/strongroom/s3proxy/": f"{self.proxy.directory}/",
            "/etc/strongroom ": f"{self.proxy.directory} ",
            "/var/backups/strongroom": str(self.directory / "backup"),
            "http://127.0.0.1:8191": f"http://{self.proxy.health_address}",
            "https://s3.example.org:8190": self.proxy.url,
            "https://store.example.org:8333": self.store.address,
            "SHOPAPI": self.proxy.access_key,
        }
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    def _lay_out(self) -> None:
        """Put files where the page has them, and what prints a journal beside them."""
        (self.proxy.directory / "shop-api.key").write_text(self.proxy.secret_key)
        for name in ("ca.crt", "store-ca.crt"):
            (self.proxy.directory / name).write_bytes(self.openbao.ca_file.read_bytes())
        self._bin.mkdir()
        cases = "".join(f"  {unit}) cat '{log}';;\n" for unit, log in self._logs.items())
        journal = self._bin / "journalctl"
        journal.write_text(f'#!/bin/sh\n# called as: journalctl -o cat -u UNIT\ncase "$4" in\n{cases}esac\n')
        journal.chmod(0o755)


@contextlib.contextmanager
def stand(directory: Path) -> Iterator[Stand]:
    """Start all of it, with a bucket ``orders``."""
    authority = Authority(directory / "tls")
    with (
        SeaweedServer(directory / "store") as store,
        OpenBaoServer(directory / "openbao", authority, storage="raft") as openbao,
    ):
        openbao.admin.enable_approle()
        settings = offer_transit(openbao, directory / "login", keys=("orders",)) | NO_CACHE
        with ProxyProcess(directory / "proxy", store, policy=POLICY, settings=settings) as proxy:
            made = Stand(directory, openbao, store, proxy)
            with made.client() as s3:
                s3.create_bucket(Bucket="orders")
            yield made
