"""One store, one OpenBao and one proxy of two processes, and all that can happen to them."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.server import free_port
from devstack.transit import offer_transit, retire_versions, rotate_key
from tests.chaos.s3_client import BUCKET
from tests.s3proxy.conftest import S3, client_of
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

KEY = "main"
POLICY = f'[[policy]]\nname = "main"\nkek = "transit:{KEY}"\nbuckets = ["*"]\n'
SLOW_CLIENTS = 64
# The proxy's patience: more than a busy machine needs for an answer, and less than some outages last.
OPENBAO_S = 3.0
STORE_IDLE_S = 4.0


class World:
    """The servers, and the faults that can be done to them; each fault is over when its method returns."""

    def __init__(self, store: SeaweedServer, openbao: OpenBaoServer, proxy: ProxyProcess, dice: random.Random) -> None:
        self.store = store
        self.openbao = openbao
        self.proxy = proxy
        self._dice = dice
        self.done: dict[str, int] = {}

    def faults(self) -> list[Callable[[], None]]:
        return [
            self.kill_a_worker, self.stop_a_worker, self.kill_the_supervisor, self.restart_the_proxy,
            self.kill_the_store, self.stop_the_store, self.kill_openbao, self.seal_openbao, self.stop_openbao,
            self.rotate_the_key, self.kill_a_rewrap, self.break_the_policy, self.break_the_credentials,
            self.connect_slow_clients,
        ]  # fmt: skip

    def strike(self) -> str:
        """Do one of the faults; return its name."""
        fault = self._dice.choice(self.faults())
        fault()
        self.done[fault.__name__] = self.done.get(fault.__name__, 0) + 1
        return fault.__name__

    def connect(self, **options: object) -> S3:
        return client_of(self.proxy.url, self.proxy.access_key, self.proxy.secret_key, **options)

    def processes(self) -> dict[str, int]:
        workers = {f"worker {number}": pid for number, pid in enumerate(self.proxy.workers(), start=1)}
        return {"supervisor": self.proxy.pid, **workers}

    def a_worker(self) -> int:
        """Return one; those that were killed just before may not be back yet."""
        return self._dice.choice(wait_for(self.proxy.workers, "a worker to be back", timeout_s=60))

    def kill_a_worker(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.a_worker(), signal.SIGKILL)

    def stop_a_worker(self) -> None:
        """For as long as its connections can stand."""
        pid = self.a_worker()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._outage(0.2, 1.0)
            os.kill(pid, signal.SIGCONT)

    def kill_the_supervisor(self) -> None:
        self.proxy.process.kill()
        self.proxy.process.wait()
        self.proxy.restart()

    def restart_the_proxy(self) -> None:
        self.proxy.stop()
        assert self.proxy.process.returncode == 0, "a drain ends well"
        self.proxy.restart()

    def kill_the_store(self) -> None:
        self.store.kill()
        self.store.restart()

    def stop_the_store(self) -> None:
        self.store.pause()
        self._outage(0.2, 1.25 * STORE_IDLE_S)
        self.store.resume()

    def kill_openbao(self) -> None:
        self.openbao.kill()
        self.openbao.restart()

    def seal_openbao(self) -> None:
        self.openbao.admin.seal()
        self._outage(0.2, 1.5)
        self.openbao.unseal()

    def stop_openbao(self) -> None:
        self.openbao.pause()
        self._outage(0.2, 2 * OPENBAO_S)
        self.openbao.resume()

    def rotate_the_key(self) -> None:
        rotate_key(self.openbao, KEY)

    def rewrap(self) -> int:
        with self._rewrapping() as process:
            return process.wait(120)

    def retire_old_versions(self) -> None:
        """As docs/s3proxy.md tells operators to."""
        newest = rotate_key(self.openbao, KEY)
        for _ in range(2):
            assert self.rewrap() == 0
        retire_versions(self.openbao, KEY, below=newest)

    def kill_a_rewrap(self) -> None:
        with self._rewrapping() as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._dice.uniform(0.1, 1.0))
            process.kill()

    def break_the_policy(self) -> None:
        self._break("policy.toml", "[[policy")

    def break_the_credentials(self) -> None:
        """As an editor does that truncates first; and kills a worker, which must find what was in force."""
        self._break("credentials.toml", "")

    def _break(self, name: str, text: str) -> None:
        file = self.proxy.directory / name
        good = file.read_text()
        file.write_text(text)
        self._outage(0.1, 0.5)
        self.kill_a_worker()
        self._outage(0.1, 0.5)
        file.write_text(good)

    def connect_slow_clients(self) -> None:
        """Uploads that were signed and hardly move."""
        with contextlib.closing(self.connect()) as s3, contextlib.ExitStack() as stack:
            url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "slow"}))
            head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 20971520\r\n\r\nx"
            for _ in range(SLOW_CLIENTS):
                with contextlib.suppress(OSError):
                    connection = stack.enter_context(socket.create_connection(("127.0.0.1", url.port or 80), 5))
                    connection.sendall(head.encode())
            self._outage(0.5, 2.0)

    @contextlib.contextmanager
    def _rewrapping(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "cli", "s3", "rewrap", "--config", str(self.proxy.config_file)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            yield process

    def _outage(self, shortest_s: float, longest_s: float) -> None:
        time.sleep(self._dice.uniform(shortest_s, longest_s))  # the fault itself, not a wait for a condition

    def recovered(self) -> None:
        """Wait until everything is ready again, which takes seconds and no hands."""
        with contextlib.closing(self.connect()) as s3:
            wait_for(lambda: _served(s3), "the proxy to serve again", timeout_s=90)
        wait_for(lambda: len(self.proxy.workers()) == 2, "both workers to be back", timeout_s=90)


def _served(s3: S3) -> bool:
    try:
        s3.put_object(Bucket=BUCKET, Key="recovered", Body=b"x")
    except Exception:  # noqa: BLE001 - whatever it is, it is not served yet
        return False
    return True


@contextlib.contextmanager
def chaos_world(directory: Path, dice: random.Random) -> Iterator[World]:
    with (
        SeaweedServer(directory / "store") as store,
        OpenBaoServer(directory / "openbao", Authority(directory / "tls"), storage="raft") as openbao,
    ):
        openbao.admin.enable_approle()
        settings = offer_transit(openbao, directory / "login", keys=(KEY,), ttl="20s") | {
            "processes": 2,
            "listen": f"127.0.0.1:{free_port()}",
            "openbao_timeout_s": OPENBAO_S,
            "store_idle_timeout_s": STORE_IDLE_S,
            "bucket_key_ttl_s": 20,
            "unwrap_cache_s": 10,
            "reload_interval_s": 0.1,
        }
        with ProxyProcess(directory / "proxy", store, policy=POLICY, settings=settings) as proxy:
            world = World(store, openbao, proxy, dice)
            with contextlib.closing(world.connect()) as s3:
                s3.create_bucket(Bucket=BUCKET)
            yield world
        store.kill()
