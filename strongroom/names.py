"""The names that more than one part must know: of variables, of components, and of what acts on the dynamic loader.

One table, because two that differ are a hole or a launch that fails: what the bridge lets through the wrapper must be
able to pass on, and a component that one of them does not know must not stop the other. Pure, and on the launch path:
nothing is imported here.
"""

PREFIX = "STRONGROOM_"  # of all variables of ours
PADDING = PREFIX + "PADDING"  # makes room for a title (wrapper/plan.py)

# The import packages of this project. One of ours that cannot be imported is a mistake, not a missing extra.
PACKAGES = frozenset(
    {"bench", "bridge", "bundle", "cli", "devstack", "doctor", "preload", "s3proxy", "strongroom", "wrapper"}
)

# Variables of systemd's protocols that name the process they are for, and what supervision writes there until that
# process is known.
PIDS = ("LISTEN_PID", "WATCHDOG_PID")
FOR_THE_CHILD = "of the child of strongroom-init"

# Whose settings begin with the prefix and a word of their own; one environment may hold them all. Those that are yet to
# come are named too, since images live longer than the releases in them.
COMPONENTS = (
    "AGENT", "BEACON", "BENCH", "BRIDGE", "BROKER", "BUNDLE", "DEV", "KMS", "OPERATOR", "RELAY", "S3PROXY", "WEBHOOK",
)  # fmt: skip

# The dynamic loader and the C library's allocators read these before any secret is in place, so a secret in them would
# be an empty string at best.
_READ_EARLY_PREFIXES = ("LD_", "DYLD_", "MALLOC_", PREFIX)
_READ_EARLY = frozenset({"GLIBC_TUNABLES"})

# What glibc takes away from set-id programs besides those (sysdeps/generic/unsecvars.h), and musl's like of it: names
# files to load code or tables from, or to write to.
_UNSECURE = frozenset(
    {
        "GCONV_PATH",
        "GETCONF_DIR",
        "HOSTALIASES",
        "LOCALDOMAIN",
        "LOCPATH",
        "MUSL_LOCPATH",
        "NIS_PATH",
        "NLSPATH",
        "RESOLV_HOST_CONF",
        "RES_OPTIONS",
        "TMPDIR",
        "TZDIR",
    }
)


def is_read_early(name: str) -> bool:
    """Return whether a variable acts before secrets are in place, or on Strongroom itself, so that it cannot be one."""
    return name.startswith(_READ_EARLY_PREFIXES) or name in _READ_EARLY


def steers_the_process(name: str) -> bool:
    """Return whether a variable acts on the loader or the C library of every program.

    A path is taken as a whole without looking at its keys, so a writer of secrets could take over what starts.
    """
    return is_read_early(name) or name in _UNSECURE


def is_of_component(name: str) -> bool:
    """Return whether a variable is a setting of a component that has a word of its own behind the prefix."""
    component, mark, _ = name.removeprefix(PREFIX).partition("_")
    return name.startswith(PREFIX) and mark != "" and component in COMPONENTS


def is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes has set a variable for a Service, which is a setting of nobody.

    It does so for each Service of the namespace, by default, so a Service that is called like us shares our prefix
    (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables). A name that ends in _PORT
    could be a setting; there the value decides, which Kubernetes makes a URL like ``tcp://10.96.3.7:8443``.
    """
    if name.endswith(("_SERVICE_HOST", "_SERVICE_PORT")) or "_SERVICE_PORT_" in name:
        return True
    if name.endswith("_PORT") and "://" in value:
        return True
    words = name.split("_")
    if words[-1] in {"PROTO", "PORT", "ADDR"}:
        words.pop()
    match words:
        case [_, *_, "PORT", number, "TCP" | "UDP" | "SCTP"]:
            return number.isdigit()
    return False
