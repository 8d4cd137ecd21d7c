"""The events of the logs that all servers have: what each means, and what to do about it.

No program reads this table; ``docs/reference/log-events.md`` is made of it, and a test compares it with every call of
``log_event``. ``bridge.events`` and ``s3proxy.events`` have those of the servers.
"""

from dataclasses import dataclass
from typing import Final

NOTHING: Final = "nothing"
REFUSED: Final = ("reason", "hint")


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        name: as it is in the log.
        levels: that it can have.
        fields: beside those that every line has.
        meaning: what has happened.
        cure: what to do.
        grows: whether it can have more fields, which another table names.
    """

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]
    meaning: str
    cure: str = NOTHING
    grows: bool = False


DEBUG: Final = ("debug",)
INFO: Final = ("info",)
WARNING: Final = ("warning",)
ERROR: Final = ("error",)

EVENTS: Final = (
    Event(
        "authority_ended",
        ERROR,
        ("file", "not_after", "hint", "days_left"),
        "the last root in a file of the callers' authorities has ended: all that it signed are refused",
        "put its successor into the file, and issue what it has signed anew; the file is followed",
    ),
    Event(
        "authority_ends",
        WARNING,
        ("file", "not_after", "hint", "days_left"),
        "the last root in a file of the callers' authorities ends within a week, or within a day",
        "put its successor beside it now, and issue what it has signed anew before its end",
    ),
    Event(
        "call_failed",
        ERROR,
        ("method", "error"),
        "a call by gRPC failed in a way that was not foreseen (INTERNAL)",
        "please report it, with the line",
    ),
    Event(
        "cannot_accept",
        ERROR,
        ("reason",),
        "the kernel gives out no more connections",
        "raise the limit of open files (`LimitNOFILE`), or lower the limits of connections",
    ),
    Event(
        "care_failed",
        ERROR,
        ("error",),
        "a step of the upkeep failed in a way that was not foreseen; it is tried again",
        "please report it",
    ),
    Event(
        "certificate_ended",
        ERROR,
        ("file", "not_after", "hint", "days_left"),
        "the server's own certificate has ended: clients refuse it",
        "renew it; the new file is taken up at once",
    ),
    Event(
        "certificate_ends",
        WARNING,
        ("file", "not_after", "hint", "days_left"),
        "the server's own certificate ends within a week, or within a day",
        "renew it, and find out why that was not done by itself",
    ),
    Event(
        "certificate_unfit",
        WARNING,
        ("file", "reason", "hint"),
        "the server's certificate is not one that its clients can accept",
        "issue one with the names that clients use, for servers",
    ),
    Event(
        "connection_not_opened",
        DEBUG,
        ("reason",),
        "a client went away, or spoke no TLS, before its connection was there",
    ),
    Event(
        "drain_incomplete",
        WARNING,
        ("requests", "connections"),
        "what was still in flight at the end of `drain_timeout_s` was cut off",
        "raise `drain_timeout_s`, and the time that the supervisor gives with it",
    ),
    Event(
        "draining",
        INFO,
        ("requests", "processes"),
        "the server was asked to end: it accepts no more, and finishes what is in flight",
    ),
    Event(
        "library_message",
        ("debug", "info", "warning", "error", "critical"),
        ("logger", "template", "error"),
        "a library says something; its arguments are left out, since they may hold values",
        "look at it if it comes with another fault",
    ),
    Event(
        "log_lines_dropped",
        WARNING,
        ("count",),
        "anyone who reads stderr was too slow, and lines were dropped",
        "look at the log collector, or at a full disk under it",
    ),
    Event(
        "loop_error",
        ("warning", "error"),
        ("error",),
        "a task or a connection failed in a way that was not foreseen; the others go on",
        "please report it if it comes again",
    ),
    Event(
        "listening",
        INFO,
        ("https", "s3", "health", "pid"),
        "the server, or one of its processes, serves at these addresses, a field for each port",
    ),
    Event("logged_in", INFO, ("ttl_s", "renewable"), "there is a new login at OpenBao"),
    Event(
        "login_failed",
        ("warning", "error"),
        REFUSED,
        "there is no new login at OpenBao",
        "do what the hint says; what is refused is not tried again unchanged",
    ),
    Event(
        "open_file",
        WARNING,
        REFUSED,
        "others on this machine may read a private key or a secret id, or change what the server believes",
        "`chmod` and `chown` it as the hint says",
    ),
    Event(
        "peer_certificate_missing",
        INFO,
        ("peer",),
        "a client of this address showed no certificate",
        "give it one, if it is a client of yours",
    ),
    Event(
        "peer_certificate_refused",
        WARNING,
        ("reason", "peer"),
        "the certificate of a client was refused; what it claims to be is in the line and is not verified",
        "renew it, or sign it by an authority of `client_ca_file`",
        grows=True,
    ),
    Event(
        "reload_failed",
        ERROR,
        REFUSED,
        "a file that was edited cannot be used; what was in force stays in force",
        "mend the file",
    ),
    Event("stopped", INFO, (), "the server has ended"),
    Event(
        "systemd_not_told",
        WARNING,
        ("message", "reason"),
        "systemd set `NOTIFY_SOCKET` and does not listen there",
        "check `Type=notify` and `NotifyAccess=` of the unit",
    ),
    Event(
        "tls_reload_failed",
        ERROR,
        REFUSED,
        "a new certificate, key or authority cannot be used; the old one stays in force until it ends",
        "mend the files: certificate and key must belong together",
    ),
    Event("tls_reloaded", INFO, ("certificate", "not_after"), "new certificates are in force"),
    Event(
        "token_dead",
        WARNING,
        ("reason",),
        "OpenBao no longer knows the server's token; a new login follows",
        "nothing, if `logged_in` follows; with `openbao_token_file` write a new token",
    ),
    Event(
        "token_not_renewed",
        WARNING,
        ("reason",),
        "OpenBao did not renew the token; a new login follows",
        "nothing, if `logged_in` follows",
    ),
    Event(
        "token_not_revoked",
        WARNING,
        ("reason",),
        "at the end the token could not be given back; it lives until its TTL",
    ),
    Event("token_renewed", INFO, ("ttl_s",), "the login at OpenBao lives on"),
)


def record_log_events(log: str, what: str) -> tuple[Event, ...]:
    """Return the events of a log of records, of ``strongroom.service.record_log``.

    Args:
        log: its name, with which its events begin.
        what: what it records.
    """
    return (
        Event(
            f"{log}_failed",
            ERROR,
            ("reason", "file"),
            f"{what} cannot be written, and requests that wait for that fail (503)",
            "make room on the disk, or mend it; nothing is to be restarted",
        ),
        Event(
            f"{log}_not_written",
            ERROR,
            ("records", "reason"),
            f"at its end the server still had {what} that could not be written; they are lost",
            "look at the disk",
        ),
        Event(
            f"{log}_reopen_failed",
            ERROR,
            ("reason",),
            f"after SIGHUP the file for {what} could not be opened; the old one goes on",
            "check its directory, and send SIGHUP again",
        ),
        Event(f"{log}_reopened", INFO, ("file",), f"{what} go to a new file from here on: the renamed one is complete"),
        Event(f"{log}_resumed", WARNING, (), f"{what} are written again"),
    )
