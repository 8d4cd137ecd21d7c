"""What the proxy stands on, made from its settings: store, policies, keys. Tools without a server take it, too."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.evidence import Evidence
from s3proxy.keys.guard import KeyGuard
from s3proxy.keys.kek_table import KekSettings, KekTable
from s3proxy.keys.keyring import Keyring
from s3proxy.keys.lost_records import LostRecords
from s3proxy.keys.missing_policies import MissingPolicies
from s3proxy.keys.opened_keys import KeyLimits
from s3proxy.keys.policies import Policies
from s3proxy.keys.policy_file import PolicyFile
from s3proxy.keys.sample import Sampler
from s3proxy.keys.shared_names import SharedNames
from s3proxy.keys.warming import Warmer
from s3proxy.metrics import Metrics
from s3proxy.store.capabilities import Capabilities
from s3proxy.store.client import Endpoint
from s3proxy.store.connections import Timeouts
from s3proxy.store.credentials import follow_store_credentials
from s3proxy.store.findings import Findings
from s3proxy.store.settings import StorePayload, StoreSettings
from s3proxy.store.slash_store import SlashStore
from s3proxy.store.system_bucket import SystemBucket
from s3proxy.stored.etags import KnownDigests
from s3proxy.stored.open import ObjectFinder, Objects
from strongroom.errors import StrongroomError
from strongroom.service.following import KeptFiles
from strongroom.service.settings import REQUIRED, Guard, group, setting


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """The settings of all of it."""

    policy_file: Path = setting(
        REQUIRED, "which buckets and prefixes are sealed under which key", "TOML file", guard=Guard.WRITE
    )
    store: StoreSettings = group(StoreSettings, "store_")
    system_bucket: str = setting(
        "strongroom-system",
        "bucket of the proxy's own objects: the keyring, and copies of small parts of unfinished uploads",
        "bucket name",
        "no helper object stands among the clients' objects; clients do not see it",
    )
    keks: KekSettings = group(KekSettings)
    limits: KeyLimits = group(KeyLimits)


class Storage:
    """Store, policies and keys of one process. An async context manager.

    Attributes:
        policies: in force.
        session: the login at OpenBao, None without one.
        store_credentials: the proxy's own.
        store: the client of it.
        keks: of the policies.
        system_bucket: where the proxy keeps what is not its clients'.
        keyring: the records of bucket keys.
        missing: policies that objects depend on, and that the policy file does not have.
        lost: records of the keyring that objects have need of, and that are not there.
        guard: whether the key of each policy is the one that it was.
        keys: bucket keys in use.
        objects: what objects are read and written with.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        settings: StorageSettings,
        metrics: Metrics,
        *,
        retry_s: float,
        kept: KeptFiles | None = None,
        shared: SharedNames | None = None,
        check: Callable[[Policies], None] = lambda _: None,
    ) -> None:
        """Make all of it; nothing is sent yet. Needs a running event loop.

        Args:
            settings: of the storage.
            metrics: told what happens.
            retry_s: how soon the store is asked again at first for what is not known of it.
            kept: what was in force in the process that this one replaces.
            shared: which bucket keys the other processes of this proxy use.
            check: raises ConfigError when policies cannot be put in force.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self.session = settings.keks.openbao.session(observe=metrics.kms, shared=shared.directory if shared else None)
        store = settings.store
        self.store_credentials = follow_store_credentials(store, self.session, kept=kept)
        self.keks = KekTable(settings.keks, self.session, kept=kept)

        def check_all(policies: Policies) -> None:
            check(policies)
            self.keks.of(policies)

        self.policies = PolicyFile(settings.policy_file, check=check_all, kept=kept)
        keks = self.keks.of(self.policies)
        self.store = SlashStore(
            Endpoint(
                address=store.address,
                region=store.region,
                timeouts=Timeouts(connect_s=store.connect_timeout_s, idle_s=store.idle_timeout_s),
                connections=store.connections,
                sign_payload=store.payload is StorePayload.SIGNED,
                ca_file=store.ca_file,
            ),
            self.store_credentials,
            observe=metrics.store,
        )
        self.system_bucket = SystemBucket(self.store, settings.system_bucket)
        self.keyring = Keyring(self.store, self.system_bucket)
        evidence = Evidence(self.keyring, Sampler(self.store, hidden_bucket=settings.system_bucket))
        self.lost = LostRecords(evidence)
        self.guard = KeyGuard(self.keyring, evidence, on_revoked=self._revoke, on_lost=self.lost.doubt)
        self.guard.use(self.policies, keks)
        self.keys = BucketKeys(keks, settings.limits, keyring=self.keyring, guard=self.guard, count=metrics.bucket_key)
        self._warmer = Warmer(self.keys, self.keyring, shared=shared)
        self.missing = MissingPolicies(self.keyring)
        self._findings = Findings(store, self.store, self.system_bucket, retry_s=retry_s)
        known = KnownDigests()
        self.objects = Objects(
            store=self.store,
            policies=self.policies,
            keys=self.keys,
            known=known,
            finder=ObjectFinder(self.store, self.keys, self.policies, known),
            system_bucket=self.system_bucket,
        )

    async def __aenter__(self) -> Self:
        """Read what is read before anything can be asked of the store."""
        await self.store_credentials.refresh()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    def follow_files(self) -> None:
        """Read again what has changed; broken edits leave the old in force. Never fails."""
        if self.policies.poll():
            keks = self.keks.of(self.policies)
            self.keys.use(keks)
            self.missing.look_again()
            self.lost.look_again()
            self.guard.use(self.policies, keks)
        self.store_credentials.poll()

    async def follow_openbao(self) -> None:
        """Look after the login, and read again what is kept in OpenBao. Never fails."""
        if self.session is not None:
            await self.session.tick()
            await self.store_credentials.refresh()

    def _revoke(self, policy: str) -> None:
        self.keys.revoke(policy)

    async def follow_keys(self) -> None:
        """Try the key of each policy whose time it is, and look for policies that are missing. Never fails."""
        await self.missing.follow(self.policies)
        await self.guard.check()

    async def follow_records(self) -> None:
        """Look now and then whether objects have their records in the keyring. Never fails."""
        await self.lost.follow(self.policies)

    async def confirm_keys(self) -> None:
        """Confirm the bucket keys in use whose time it is, and those that are to be in use. Never fails."""
        await self.keys.follow()
        await self._warmer.follow()

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do, as far as it is known."""
        return self.store.capabilities

    async def probe(self) -> None:
        """Find out what the store can do. Never fails: it is tried again.

        Settings that say all of it keep the store from being asked.
        """
        await self._findings.follow()

    async def ask_store(self) -> StrongroomError | None:
        """Find out the same for a tool, which asks once; return why something is still not known."""
        return await self._findings.follow()

    async def close(self) -> None:
        """Close the connections, and give the login back."""
        self._findings.close()
        await self.store.close()
        if self.session is not None:
            await self.session.close()
