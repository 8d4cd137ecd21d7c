"""How one bucket key is unwrapped: from the header of an object, or else from its record in the keyring."""

from typing import Protocol

from s3proxy.keys.kek import REVOKED, Cause, Kek, KeyNotAvailableError
from s3proxy.keys.opened_keys import KeyName
from strongroom.errors import StrongroomError
from strongroom.sealed.keyring import KeyRecord, record_name
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.wrapping import WrappedKey, parse_wrapped
from strongroom.secret import Secret


class Records(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def find(self, policy: str, key_id: bytes) -> KeyRecord | None:
        """Return the record of a bucket key, or None."""

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        """Write the record of a new bucket key."""

    def where(self, name: str) -> str:
        """Return where a record is, for people."""


async def unwrap_key(keyring: Records, kek: Kek, name: KeyName, wrapped: bytes) -> tuple[Secret, bytes]:
    """Return a key, and what it was unwrapped from.

    Raises:
        StrongroomError: it cannot be had.
    """
    policy, key_id = name
    refusal: StrongroomError | None = None
    if wrapped:
        try:
            return await kek.unwrap(parse_wrapped(wrapped), policy=policy, key_id=key_id), wrapped
        except KeyNotAvailableError as error:
            if error.cause in REVOKED:
                raise
            refusal = error
        except RefusedError as error:
            refusal = error
    # Of an older KEK, perhaps: then it was rewrapped since, and the record has it as it is opened now.
    record = await keyring.find(policy, key_id)
    if record is None:
        if isinstance(refusal, RefusedError):
            raise refusal
        raise _no_record(keyring.where(record_name(policy, key_id)), refusal)
    if refusal is not None and record.wrapped.encode() == wrapped:
        raise refusal
    return await kek.unwrap(record.wrapped, policy=policy, key_id=key_id), b""


async def foreign(keyring: Records, name: KeyName) -> StrongroomError:
    """Return the refusal of what names a policy that is not configured for its name.

    Where the keyring has the key, the policy was renamed, taken out or is for other names; else nothing tells that
    there ever was such a policy, and the header is damaged or somebody else's.

    Raises:
        StrongroomError: the keyring cannot be asked.
    """
    policy, key_id = name
    if await keyring.find(policy, key_id) is not None:
        return no_policy(policy)
    refusal = RefusedError(6, f"policy {policy} is not configured for this name, and the keyring has no such key")
    refusal.hint = (
        f'if there was a policy {policy}, restore keyring/{policy}/, and name it or say formerly = ["{policy}"]'
    )
    return refusal


def no_policy(policy: str) -> KeyNotAvailableError:
    """Return the refusal of what was sealed under a policy that is not configured for its name."""
    msg = f"the object was sealed under policy {policy}, which the policy file does not have for its name"
    hint = (
        f'a policy that was renamed needs formerly = ["{policy}"]; where the bucket moved to another policy, have'
        f" {policy} name it, too, behind that one; strongroom s3 reseal then seals it anew"
    )
    return KeyNotAvailableError(Cause.NO_POLICY, msg, hint=hint)


def _no_record(where: str, refusal: StrongroomError | None) -> KeyNotAvailableError:
    lost = f"{where} is missing"
    msg = f"{refusal.message}, and {lost}" if refusal else f"a bucket key is in the keyring only, and {lost}"
    return KeyNotAvailableError(Cause.NO_RECORD, msg, hint=f"restore {where} from a backup{_without_backup(refusal)}")


def _without_backup(refusal: StrongroomError | None) -> str:
    """Return the other way back, by what the header has; rewrap is none, as it goes by the records that are there."""
    if refusal is None:
        return ""
    if isinstance(refusal, KeyNotAvailableError) and refusal.cause is Cause.RETIRED:
        return (
            "; or, without a backup, lower min_decryption_version of the key to that version and run strongroom s3"
            " reseal BUCKET --all, which makes new records, before it is retired again"
        )
    return f"; or, without a backup, {refusal.hint}"
