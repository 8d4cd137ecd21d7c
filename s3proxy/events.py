"""The events of the proxy's log, beside those of ``strongroom.service.events``; for the reference page and its test."""

from typing import Final

from strongroom.service.events import DEBUG, ERROR, INFO, REFUSED, WARNING, Event, record_log_events

_POLICY: Final = ("policy", *REFUSED)
_OF_REQUEST: Final = ("operation", "request_id", "code", "reason", "hint", "error")

EVENTS: Final = (
    *record_log_events("access_log", "records of the access log"),
    Event(
        "bucket_key_not_replaced",
        WARNING,
        _POLICY,
        "a bucket key has served its time and no new one can be had; objects are sealed under the old one for a while",
        "bring OpenBao or the store back",
    ),
    Event(
        "bucket_key_refused",
        WARNING,
        ("key", *REFUSED),
        "OpenBao refuses to unwrap a bucket key that was in use; it is dropped",
        "do what the hint says; make no new transit key",
    ),
    Event(
        "copies_not_removed",
        WARNING,
        ("under", "reason"),
        "copies of small parts of a finished upload are left in `system_bucket`",
        "a lifecycle rule on `uploads/` removes them",
    ),
    Event(
        "credentials_reload_failed",
        ERROR,
        REFUSED,
        "the edited clients file cannot be used; the older one is in force",
        "mend the file; the reason names the place",
    ),
    Event("credentials_reloaded", INFO, ("credentials",), "new clients and rights are in force"),
    Event(
        "key_not_available",
        ERROR,
        _OF_REQUEST,
        "an object cannot be opened or sealed since its key cannot be had; it is *not* damaged",
        "do what the hint says; make no new transit key, and delete nothing",
    ),
    Event(
        "key_service_away",
        WARNING,
        ("reason", "hint", "keys_kept_s"),
        "OpenBao cannot be reached; keys in use serve on for `keys_kept_s`",
        "bring OpenBao back within that time",
    ),
    Event("key_service_back", INFO, (), "OpenBao can be reached again"),
    Event(
        "keyring_lost",
        ERROR,
        _POLICY,
        "the keyring in `system_bucket` lacks a record that an object is sealed under; where all are lost a new one is "
        "begun",
        "restore `keyring/` from a backup, and retire no version of the key before that",
    ),
    Event("keyring_not_listed", DEBUG, REFUSED, "the keyring could not be listed just now; it is tried again"),
    Event(
        "object_refused",
        ERROR,
        _OF_REQUEST,
        "a stored object broke a rule of the format: it was changed, cut, swapped or planted, or is plaintext in a "
        "sealed bucket",
        "find out who can write to the bucket; restore the object from a backup",
    ),
    Event(
        "open_key_file",
        WARNING,
        REFUSED,
        "every user may read the key file: who has it opens all objects under it",
        "do what the hint says; who may have copied it keeps the key, so move to another one",
    ),
    Event(
        "open_port",
        WARNING,
        REFUSED,
        "the proxy serves plain HTTP, or its health, to other machines",
        "do what the hint says",
    ),
    Event(
        "policy_key_noted",
        WARNING,
        ("policy", "reason"),
        "a policy's key works, with something to know",
        "read the reason",
    ),
    Event(
        "policy_key_refused",
        ERROR,
        _POLICY,
        "a policy's key cannot be used: what is under it can be neither read nor written",
        "do what the hint says; make no new transit key where there are objects",
    ),
    Event("policy_key_works", INFO, ("policy",), "a policy's key can be used again"),
    Event(
        "policies_missing",
        WARNING,
        ("count",),
        "more policies are missing than there are lines of `policy_missing`: by this number",
        "as for `policy_missing`; if nobody had these, find out who can write to `system_bucket`",
    ),
    Event(
        "policy_missing",
        WARNING,
        _POLICY,
        "the keyring has keys of a policy that `policy.toml` does not have: its objects cannot be read",
        "put the policy back, or name it in `formerly` of the one that replaces it",
    ),
    Event(
        "policy_outdated",
        WARNING,
        _POLICY,
        "a policy uses a key of an older version; it is understood",
        "write it as the hint says",
    ),
    Event(
        "policy_reload_failed",
        ERROR,
        REFUSED,
        "the edited policy file cannot be used; the older one is in force",
        "mend the file; the reason names the policy",
    ),
    Event("policy_reloaded", INFO, ("policies",), "new policies are in force"),
    Event(
        "request",
        INFO,
        ("operation", "status", "seconds", "request_id", "principal", "received", "sent"),
        "a request was answered; status 0: it was aborted",
    ),
    Event(
        "request_failed",
        ("info", "warning", "error"),
        _OF_REQUEST,
        "a request was refused; a warning where the proxy or what is behind it is to blame, an error where the proxy "
        "has a mistake",
        "look up `code` in [errors.md](errors.md); please report what is an error",
    ),
    Event("secret_loaded", INFO, ("path",), "credentials that are kept in OpenBao are in force"),
    Event(
        "secret_not_loaded",
        ERROR,
        ("path", *REFUSED),
        "credentials that are kept in OpenBao cannot be read or used; what was in force stays in force",
        "check the secret, and that the proxy's token may read it",
    ),
    Event("serving", INFO, ("s3", "health", "pid", "processes"), "all processes serve"),
    Event("store_capabilities", INFO, ("found",), "what the store was found to do"),
    Event(
        "store_credentials_reload_failed",
        ERROR,
        REFUSED,
        "the edited credentials for the store cannot be used; the older ones are in force",
        "mend the file",
    ),
    Event("store_credentials_reloaded", INFO, (), "new credentials for the store are in force"),
    Event(
        "store_not_probed",
        WARNING,
        REFUSED,
        "the store could not be asked what it can do; what depends on that is told to come again",
        "check the store's address, and that the credentials may write to `system_bucket`",
    ),
    Event(
        "worker_ended",
        ERROR,
        ("number", "worker_pid", "status", "pause_s"),
        "one of several processes ended and is begun again after a pause; a status below 0 is a signal, -9 often the "
        "kernel short of memory",
        "see the lines above; lower `memory_bytes`, or give more memory",
    ),
    Event("worker_failed", ERROR, REFUSED, "a process that was begun again could not start", "do what the hint says"),
    Event(
        "worker_silent",
        ERROR,
        ("number", "worker_pid", "timeout_s"),
        "a process did not answer its parent, and is ended and replaced",
        "please report it if it comes again",
    ),
)
