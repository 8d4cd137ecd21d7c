"""The help texts of ``strongroom run`` and ``strongroom plan``, made from the settings themselves."""

from wrapper import exit_status
from wrapper.saved_launch import DEFAULT_FILE
from wrapper.settings import SETTINGS

# Number, meaning, and what to do; the last for docs/reference/exit-statuses.md.
STATUSES = (
    (
        exit_status.CONFIG,
        "a setting, a reference or a certificate file of the wrapper is wrong",
        (
            "The line names the setting, reference or file and the rule it breaks. Certificates that are missing "
            "have been waited for (`--wait`)."
        ),
    ),
    (
        exit_status.DENIED,
        "policy refuses a secret (403)",
        (
            "The policy (or OpenBao's own) refuses the path to this identity. `strongroom plan --check` shows all "
            "refusals at once; the bridge's audit log has them too."
        ),
    ),
    (
        exit_status.NOT_FOUND,
        "there is no such path, key or version (404)",
        (
            "The path, key or version does not exist, or was deleted; `strongroom plan --check` shows all that are "
            "missing. Paths are written without the `/data/` of the API. Say `?optional` or `?default=TEXT` if that "
            "is acceptable."
        ),
    ),
    (
        exit_status.UNREACHABLE,
        "the bridge cannot be reached, or is not who it should be",
        (
            "The bridge does not answer, its certificate or ours does not hold (the line says which, and since "
            "when), or what answers is another server. `--wait` is how long a bridge that is not up yet is waited "
            "for."
        ),
    ),
    (
        exit_status.UNAVAILABLE,
        "the bridge cannot serve now, until the deadline (503)",
        "The bridge is up and cannot serve: OpenBao is sealed, down or slow; the line has the reason.",
    ),
    (
        exit_status.UNDELIVERABLE,
        "a value cannot be a variable, or not decoded for a file (422)",
        (
            "The value is binary (take it as a [file](../operations.md#files)), is not base64, or a key of a whole "
            "path is not a variable's name."
        ),
    ),
    (
        exit_status.UNPROTECTED,
        "the protection that --require demands cannot be had",
        (
            "`memfd_secret` cannot be had, or, for a program that is static or has file capabilities, ptrace. The "
            "line says what was tried and how to allow less."
        ),
    ),
    (
        exit_status.INTEGRITY,
        "the bridge's answer is malformed",
        (
            "The answer was not a region image. Wrapper and bridge are of different versions, or something sits "
            "between them."
        ),
    ),
    (
        exit_status.REGION,
        "the secrets could not be put in place in the application",
        (
            "The application had been executed, and ended before its first instruction. The line says which program "
            "and why. Either it ignores the library and cannot have its secrets otherwise: it is of another machine "
            "or word size, cannot be read, or ptrace is forbidden (the line says what to change). Or the region it "
            "inherited is not whole, or a step of its start failed: please report that."
        ),
    ),
    (
        exit_status.CANNOT_EXEC,
        "the command cannot be executed",
        "The file is there and the kernel does not run it: check its mode, the mount's `noexec`, and its interpreter.",
    ),
    (exit_status.NOT_ON_PATH, "there is no such command", "Check the spelling, and `PATH` as the container has it."),
)

SUPERVISION = (
    ("--supervise", "STRONGROOM_SUPERVISE=1", "start through strongroom-init"),
    ("--signal-group, -g", "STRONGROOM_SIGNAL_GROUP=1", "signals go to COMMAND's process group"),
    ("--remap FROM:TO", "STRONGROOM_REMAP", "end with status TO instead of FROM"),
    ("--stop-timeout SECONDS", "STRONGROOM_STOP_TIMEOUT", "SIGKILL this long after SIGTERM; 0 never does"),
    ("--stop-signal SIG", "STRONGROOM_STOP_SIGNAL", "what asks COMMAND to stop"),
)


def _options() -> str:
    rows = [(f"{setting.flag} {setting.metavar}", setting) for setting in SETTINGS]
    width = max(len(left) for left, _ in rows)
    lines = []
    for left, setting in rows:
        default = f" (default {setting.default})" if setting.default else ""
        lines.append(f"  {left:<{width}}  {setting.meaning}{default}\n  {'':<{width}}  {setting.variable}\n")
    return "".join(lines)


def run_help() -> str:
    """Return the help of ``strongroom run``."""
    statuses = "".join(f"  {number:<4} {meaning}\n" for number, meaning, _ in STATUSES)
    supervision = "".join(f"  {flag:<26} {meaning} ({variable})\n" for flag, variable, meaning in SUPERVISION)
    return f"""\
usage: strongroom run [OPTIONS] [--] COMMAND [ARG...]

Start COMMAND with the secrets that its environment refers to, in memory that nobody else can read.

References in the environment:
  NAME=bao:PATH#KEY              the newest version; vault: is an alias
  NAME=bao:PATH#KEY#VERSION      a version of a KV v2 secret
  NAME='...${{bao:PATH#KEY}}...'   one or more inside a string, in single quotes; @{{...}} means the same, and no shell
                                 touches it
  ...|url, |json, |base64, |shell  the value encoded for where it stands: @{{bao:PATH#KEY|url}}
  ...?optional                   left out when there is no such secret
  ...?default=TEXT               TEXT when there is no such secret
  bao:kv/My%20App#why%3F         special characters of paths and keys are percent-encoded
  NAME=file:...                  the same as a file; NAME is its path, /proc/self/fd/N
  NAME=file(OPTIONS):...         with path=, mode=, owner=UID:GID, decode=base64 or template=, and commas between them
  STRONGROOM_FROM_PATH=bao:PATH  every key of a path; several paths with commas; behind ? and with & between them
                                 optional, names=skip or convert (keys that cannot be variables), prefix=DB_,
                                 case=upper, include=GLOB, exclude=GLOB
  NAME=literal:TEXT              TEXT as it is, whatever it looks like; ${{literal:TEXT}} inside a string

Options, each also a variable and a key of the config file:
{_options()}
As PID 1 of a container, with a small init that stays and reaps (docs/supervise.md):
{supervision}
Exit status: that of COMMAND, else
{statuses}  128+n signal n arrived before COMMAND was started
"""


def plan_help() -> str:
    """Return the help of ``strongroom plan``."""
    return f"""\
usage: strongroom plan [-o json] [--check] [OPTIONS] [--] COMMAND [ARG...]

Show what `strongroom run` would fetch, from where, how it would be delivered, and whether the bridge's policy would
allow it. Nothing is started, and nothing is read from OpenBao without --check.

Options:
  -o json                        print JSON
  --check                        have the bridge look whether each secret exists, in which version, and can be read now;
                                 it answers without values, and records each as checked
{_options()}
Exit status: 0 when the launch could go ahead as far as was asked (existence only with --check), else as
`strongroom run` would end.
"""


def exec_help() -> str:
    """Return the help of ``strongroom exec``."""
    return f"""\
usage: strongroom exec [--saved-launch FILE] [OPTIONS] [--] COMMAND [ARG...]

Start COMMAND in a running container with the secrets that the container was started with: for probes, cron jobs and
`kubectl exec`. They are fetched anew, under the same policy. What to ask for is found in the first of these places:

  the environment                references and settings, as `kubectl exec` and probes have them
  the saved launch               --saved-launch FILE, STRONGROOM_SAVED_LAUNCH, STRONGROOM_SAVE_LAUNCH,
                                 or {DEFAULT_FILE}; `strongroom run --save-launch FILE` writes it
  PID 1                          its environment and options, when it is strongroom-init (--supervise)

What the environment says itself wins. Files with a path that are there already are left as they are; where a secret has
changed since, COMMAND gets the newest content as a file of its own (/proc/self/fd/N), and a line on stderr says so.

Options, as those of `strongroom run`, but quiet unless told otherwise:
{_options()}
Exit status: that of COMMAND, else as `strongroom run` would end; 111 also when nothing says which secrets.
"""
