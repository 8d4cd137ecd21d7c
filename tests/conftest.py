"""One real OpenBao, one real bridge, and the wrapper, for all tests that want them."""

import ctypes
import gc
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from devstack.s3proxy import ProxyProcess
from devstack.stack import POLICY, DevStack
from tests.support.launch.launcher import Launcher

# Tests fork, and gRPC's handlers of a fork start threads in the child: by setuid(2) these get a signal of glibc's own,
# whose disposition is the default here.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

EARLY = "early"
LONG_S = 60.0

# A busy machine stalls for longer than hypothesis allows an example, or the making of ten; pytest-timeout is the limit.
settings.register_profile("strongroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("strongroom")


if os.environ.get("STRONGROOM_TEST_FAST_PATH") == "off":
    ProxyProcess.common = {"fast_path": False}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevStack]:
    policy = POLICY.replace('["kv/shop/**"]', '["kv/shop/**", "kv1/shop/**"]')
    with DevStack(tmp_path_factory.mktemp("stack"), policy=policy) as running:
        running.openbao.admin.enable_kv("kv1", version=1)
        running.openbao.admin.write_policy(
            "strongroom-bridge",
            'path "kv/*" { capabilities = ["read"] }\npath "kv1/*" { capabilities = ["read"] }\n',
        )
        yield running


@pytest.fixture
def launcher(stack: DevStack) -> Launcher:
    return Launcher(stack)


def pytest_configure() -> None:
    """Begin with the default disposition of every signal.

    ``make`` starts programs with posix_spawn(3), and glibc leaves signal 32, which it uses internally, ignored in them.
    Tests that look at what a program inherits would find it. glibc itself refuses to touch that signal, so the kernel
    is asked. A shell without job control has SIGINT and SIGQUIT ignored by what it starts as ``make test &``, and
    nohup(1) has SIGHUP.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    default = ctypes.create_string_buffer(32)  # struct sigaction of the kernel: SIG_DFL, no flags, empty mask
    call = {"x86_64": 13, "aarch64": 134}[os.uname().machine]  # rt_sigaction
    for number in (32, 33):
        assert ctypes.CDLL(None).syscall(call, number, default, None, 8) == 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the files, begin with those that take longest, or others wait for them in the end.

    Such files are marked ``early``; of the others, the file with the most tests comes first. It needs
    ``--no-loadscope-reorder``.
    """
    if not hasattr(config, "workerinput"):
        return
    early = {item.path for item in items if item.get_closest_marker(EARLY)}
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in early, -counts[item.path]))  # within a file they stay as they are


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the files that ought to be marked ``early``."""
    took_s: dict[str, float] = defaultdict(float)
    early: set[str] = set()
    for report in (each for reports in terminalreporter.stats.values() for each in reports):
        if isinstance(report, pytest.TestReport):
            file = report.nodeid.partition("::")[0]
            took_s[file] += report.duration
            if EARLY in report.keywords:
                early.add(file)
    for file, seconds in took_s.items():
        if seconds > LONG_S and file not in early:
            terminalreporter.write_line(f"{file} took {seconds:.0f} s, and is not marked {EARLY}")


def pytest_collection_finish() -> None:
    """Keep all that was made up to here out of garbage collections: ten thousand tests, half a second each time."""
    gc.collect()
    gc.freeze()
