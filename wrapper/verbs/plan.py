"""``strongroom plan``: what a launch would do, without fetching a value or starting anything.

With ``--check`` the bridge looks whether each secret exists and can be read now; it answers with versions, not values.
"""

import json
import sys

from strongroom import linux
from strongroom.errors import ConfigError, PeerError, StrongroomError
from strongroom.launch.bundle import CHECK_URL_PATH, PLAN_URL_PATH
from strongroom.launch.problem import printable
from strongroom.launch.reference import Reference, spell_path
from wrapper import exit_status
from wrapper.exec import usable_library
from wrapper.exit_status import report
from wrapper.exposure import check_allowed, protections_given_up
from wrapper.fetch.bridge import Bridge
from wrapper.launch import refuse_to_fetch
from wrapper.main import given_environment, read_template, refuse_within_a_launch, with_env_files
from wrapper.memory import SecretMemory
from wrapper.plan import LaunchPlan, plan_launch
from wrapper.program import RUNG_PTRACE, Program, ProtectionError, choose_rung, find_program, without_effect
from wrapper.settings import WrapperSettings, load_settings, split_arguments
from wrapper.signals import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrapper.files.value import FileTarget


_OUTPUT, _CHECK = "-o", "--check"
_OWN_OPTIONS = {_OUTPUT: "json", _CHECK: ""}

_ASKED = "the policy and OpenBao, for each secret"
_NOT_ASKED = "the policy; whether the secrets exist is not checked (--check does)"


def main(arguments: list[str]) -> int:
    """Run the verb.

    Args:
        arguments: what follows ``strongroom plan``.
    """
    Guard()  # nothing is left behind that would have to be undone
    try:
        flags, command = split_arguments(arguments, also=_OWN_OPTIONS)
        if not command:
            msg = "no command given"
            raise ConfigError(msg, hint="usage: strongroom plan [-o json] [--check] [OPTIONS] [--] COMMAND [ARG...]")
        output, check = flags.pop(_OUTPUT, ""), _CHECK in flags
        flags.pop(_CHECK, "")
        if output not in {"", "json"}:
            raise ConfigError(f"-o {output}: must be json", hint="leave -o out for a table")
        document, status = explain(flags, command, check=check)
    except StrongroomError as error:
        return report(error)
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if output else render(document))
    return status


def explain(flags: "Mapping[str, str]", command: list[str], *, check: bool = False) -> tuple[dict[str, object], int]:
    """Return the plan as a JSON document, and the exit status that the launch would most likely have.

    Args:
        flags: of the launch, by the names of its settings.
        command: what it would start.
        check: whether the bridge is to look for each secret.

    Raises:
        StrongroomError: the plan cannot be made: a malformed reference, no such command, no bridge.
    """
    environ = with_env_files(flags, given_environment())
    settings = load_settings(flags, environ)
    refuse_within_a_launch(environ)
    plan = plan_launch(environ, read_template)
    if plan.files:
        from wrapper.files.launch_files import Files

        Files(plan.files)  # refuses what the launch would refuse
    program = find_program(command, environ)
    if settings.children.startswith("allow:"):
        check_allowed(settings, plan.names, environ.get("PATH", ""))
    delivery, status = _delivery(program, settings)
    document: dict[str, object] = {"command": program.argv, "program": program.path, "delivery": delivery}
    if given_up := protections_given_up(settings):
        document["gives_up"] = given_up
    lost = "" if settings.new_privileges else without_effect(program.binary)
    if lost:
        document["without_effect"] = lost
    if not plan.needs_bridge:
        return document | {"secrets": []}, 0
    refuse_to_fetch(settings)
    linux.set_not_dumpable()  # whatever came of the delivery: from here on this process has our private key
    body = Bridge(settings).fetch_document(CHECK_URL_PATH if check else PLAN_URL_PATH, plan.request)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise PeerError("the bridge's plan is not a JSON object", hint="are wrapper and bridge of the same version?")
    rows = _rows(plan, answer)
    identity = printable(answer.get("identity"))
    document |= {"bridge": settings.bridge, "identity": identity, "checked": check, "secrets": rows}
    if check and (too_large := printable(answer.get("too_large"))):
        document["too_large"] = too_large
    return document, _status(document, rows) or status


def _status(document: dict[str, object], rows: list[dict[str, object]]) -> int:
    """Return how the launch would end because of its secrets, in the order in which the bridge decides."""
    if not all(row["allowed"] for row in rows):
        return exit_status.DENIED
    if not document["checked"]:
        return 0
    in_the_way = {row.get("state") for row in rows if row.get("state") != "missing" or row["when_missing"] == "stop"}
    if "too_large" in document:
        in_the_way.add("undeliverable")
    statuses = (
        ("unavailable", exit_status.UNAVAILABLE),
        ("denied", exit_status.DENIED),
        ("missing", exit_status.NOT_FOUND),
        ("undeliverable", exit_status.UNDELIVERABLE),
    )
    found = next((status for state, status in statuses if state in in_the_way), 0)
    return found or (0 if in_the_way <= {"exists"} else exit_status.INTEGRITY)


def _delivery(program: Program, settings: WrapperSettings) -> tuple[dict[str, object], int]:
    """Say which rung the program would get, trying memory for real."""
    try:
        rung = choose_rung(program, new_privileges=settings.new_privileges)
        if rung == RUNG_PTRACE:
            from wrapper.static.start import probe

            probe()
        library = usable_library()
        linux.set_not_dumpable()
        memory = SecretMemory(settings.require)
        memory.allocate(4096)
    except ProtectionError as error:
        return {"rung": None, "reason": error.message}, exit_status.UNPROTECTED
    return {"rung": rung, "memory": memory.rung, "linkage": program.linkage, "library": library}, 0


def _rows(plan: LaunchPlan, answer: dict[str, object]) -> list[dict[str, object]]:
    decisions = [item for item in _items(answer, "entries") if isinstance(item, dict)]
    # As texts, because a member of the answer may be of any type.
    by_place = {
        tuple(str(item.get(member) or 0) for member in ("name", "path", "key", "version")): item for item in decisions
    }
    rows: list[dict[str, object]] = []
    for entry in plan.request.entries:
        for reference in entry.references:
            place = (entry.name, reference.path, reference.key, str(reference.version))
            target = plan.files.get(entry.name)
            rows.append(_row(entry.name, reference, by_place.get(place, {})) | _delivered_as(target))
    for source in plan.request.from_paths:
        decision = next(
            (i for i in _items(answer, "from_path") if isinstance(i, dict) and i.get("path") == source.path), {}
        )
        rows.append(
            {
                "name": f"{source.prefix}*",
                "source": f"{spell_path(source.path)}#*",
                "when_missing": "left out" if source.optional else "stop",
            }
            | _decision(decision)
            | _delivered_as(None)
        )
    return rows


def _items(answer: dict[str, object], member: str) -> list[object]:
    items = answer.get(member)
    return items if isinstance(items, list) else []


def _row(name: str, reference: Reference, decision: dict[str, object]) -> dict[str, object]:
    missing = "stop"
    if reference.optional:
        missing = "left out" if reference.default is None else "default"
    return {"name": name, "source": str(reference), "when_missing": missing} | _decision(decision)


def _delivered_as(target: "FileTarget | None") -> dict[str, object]:
    if target is None:
        return {"as": "variable"}
    return {"as": "file", "path": target.path or None, "mode": f"{target.mode:04o}"}


def _decision(decision: dict[str, object]) -> dict[str, object]:
    allowed = decision.get("allowed") is True
    reason = printable(decision.get("reason"))
    found: dict[str, object] = {"allowed": allowed, "reason": reason or ("" if allowed else "the bridge did not say")}
    if "state" in decision:
        version = decision.get("found_version")
        found["state"] = printable(decision["state"])
        found["found_version"] = version if isinstance(version, int) and version > 0 else None
    return found


def _verdict(row: dict[str, object]) -> str:
    """Return what the bridge says of one secret."""
    if not row["allowed"]:
        return f"denied: {row['reason']}" if row["reason"] else "denied"
    state = row.get("state")
    if state is None:
        return "allowed"
    if state != "exists":
        return f"{state}: {row['reason']}"
    details = [f"version {row['found_version']}"] if row["found_version"] else []
    details += [str(row["reason"])] if str(row["name"]).endswith("*") else []
    return f"exists ({', '.join(details)})" if details else "exists"


def render(document: dict[str, object]) -> str:
    """Lay a plan out for a person."""
    delivery = document["delivery"]
    assert isinstance(delivery, dict)  # noqa: S101 - made above
    how = f"{delivery['rung']} + {delivery['memory']} memory" if delivery["rung"] else f"none: {delivery['reason']}"
    lines = [f"program   {document['program']}", f"delivery  {how}"]
    given_up = document.get("gives_up", {})
    assert isinstance(given_up, dict)  # noqa: S101
    lines += [f"gives up  --{name}: {text}" for name, text in given_up.items()]
    if "without_effect" in document:
        lines.append(f"loses     what its {document['without_effect']} would give it (--new-privileges)")
    if "bridge" in document:
        lines += [f"bridge    {document['bridge']}", f"identity  {document['identity']}"]
        lines.append(f"asked     {_ASKED if document['checked'] else _NOT_ASKED}")
    if "too_large" in document:
        lines.append(f"too much  {document['too_large']}")
    secrets = document["secrets"]
    assert isinstance(secrets, list)  # noqa: S101
    if not secrets:
        return "\n".join([*lines, "", "no references in the environment: nothing would be fetched", ""])
    with_files = any(row["as"] == "file" for row in secrets)
    table = [["VARIABLE", *(["AS"] if with_files else []), "SOURCE", "IF MISSING", "BRIDGE SAYS"]]
    for row in secrets:
        way = [" ".join([row["as"], row.get("path") or ""]).strip()] if with_files else []
        table.append([row["name"], *way, row["source"], row["when_missing"], _verdict(row)])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    lines.append("")
    lines += [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in table
    ]
    return "\n".join([*lines, ""])
