"""OpenBao on disk, a store and a proxy on loopback, for the drills of docs/recovery.md that are about objects."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit
from tests.recovery.reader import PROGRAMS, Reader
from tests.s3proxy.conftest import client_of

BACKUP = "What to back up"
POLICY = '[[policy]]\nname = "orders"\nkek = "transit:orders"\nbuckets = ["orders"]\n'
# Each object has a bucket key of its own, and none is kept: symptoms come at once, and every key is tried.
NO_CACHE = {"bucket_key_ttl_s": 0, "unwrap_cache_s": 0, "reload_interval_s": 0.05}
_OBJECTS = {"1.txt": b"seven apples\n", "late.txt": b"late pears\n"}


class HurriedProxy(ProxyProcess):
    """One that soon sees what has changed."""

    module = "tests.recovery.hurried"


class Stand:
    """All of it, and a reader who has the page."""

    def __init__(self, directory: Path, openbao: OpenBaoServer, store: SeaweedServer, proxy: ProxyProcess) -> None:
        self.directory = directory
        self.openbao = openbao
        self.store = store
        self.proxy = proxy
        (proxy.directory / "shop-api.key").write_text(proxy.secret_key)
        environ = {
            "BAO_ADDR": openbao.address,
            "BAO_CACERT": str(openbao.ca_file),
            "BAO_TOKEN": openbao.admin.token,
            "STORE_ACCESS_KEY_ID": store.access_key,
            "STORE_SECRET_ACCESS_KEY": store.secret_key,
        }
        logs = {"strongroom-s3proxy@8191": proxy.log_file}
        self._reader = Reader(directory / "bin", environ=environ, places=self._places, logs=logs)

    def client(self) -> contextlib.closing[Any]:
        return contextlib.closing(client_of(self.proxy.url, self.proxy.access_key, self.proxy.secret_key))

    def drill(self, section: str) -> None:
        """Back up as the page says, then do one drill; afterwards every object is read as it was.

        Raises:
            AssertionError: a command failed, something else was to be seen than the page says, or an object is lost.
        """
        with self.client() as s3:
            s3.put_object(Bucket="orders", Key="1.txt", Body=_OBJECTS["1.txt"])
            self._reader.follow(BACKUP)
            s3.put_object(Bucket="orders", Key="late.txt", Body=_OBJECTS["late.txt"])
        os.truncate(self.proxy.log_file, 0)
        self._reader.follow(section)
        with self.client() as s3:
            for key, body in _OBJECTS.items():
                assert s3.get_object(Bucket="orders", Key=key)["Body"].read() == body

    def _places(self) -> Mapping[str, str]:
        return {
            "/opt/strongroom/current/bin": PROGRAMS,
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
        with HurriedProxy(directory / "proxy", store, policy=POLICY, settings=settings) as proxy:
            made = Stand(directory, openbao, store, proxy)
            with made.client() as s3:
                s3.create_bucket(Bucket="orders")
            yield made
