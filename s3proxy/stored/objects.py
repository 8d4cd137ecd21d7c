"""What objects are read and written with: one value that operations take whole."""

from dataclasses import dataclass

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import Policies
from s3proxy.store.client import Store
from s3proxy.store.system_bucket import SystemBucket
from s3proxy.stored.etags import KnownDigests
from s3proxy.stored.open import ObjectFinder


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The parts of one process.

    Attributes:
        store: where objects are.
        policies: what is sealed under what.
        keys: bucket keys in use.
        known: digests of objects that were lately seen.
        finder: opens what is stored.
        system_bucket: where the proxy keeps what is not its clients'.
    """

    store: Store
    policies: Policies
    keys: BucketKeys
    known: KnownDigests
    finder: ObjectFinder
    system_bucket: SystemBucket
