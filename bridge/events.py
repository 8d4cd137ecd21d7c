"""The events of the bridge's log, beside ``strongroom.service.events``; for the reference page and its test."""

from typing import Final

from strongroom.service.events import ERROR, INFO, REFUSED, WARNING, Event, record_log_events

EVENTS: Final = (
    *record_log_events("audit", "audit records"),
    Event(
        "policy_path_doubtful",
        WARNING,
        REFUSED,
        "a pattern of the policy has the data/ of OpenBao's API in it, and hardly fits what callers ask for",
        "leave data/ out, if it is not a part of the secret's own path",
    ),
    Event(
        "policy_reload_failed",
        ERROR,
        REFUSED,
        "the edited policy cannot be used; the older one is in force",
        "mend the file; the reason names the grant",
    ),
    Event("policy_reloaded", INFO, ("grants",), "a new policy is in force"),
    Event(
        "request",
        INFO,
        ("route", "status", "ms", "identity", "peer", "request_id", "reason", "certificate"),
        "a request was answered; `reason` says why one was refused, status 0 that the caller had gone",
        "for 403 look into the audit log; for 503 at the reason",
    ),
    Event(
        "request_crashed",
        ERROR,
        ("request_id", "error"),
        "a request failed by a mistake of the bridge's own (500)",
        "please report it, with the line",
    ),
)
