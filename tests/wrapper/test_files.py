"""Launches whose secrets come as files: what the application finds, and what is left when a launch fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.application import environment_of
from tests.wrapper.delivered import AS_NOBODY, CANARY, FILE, NOBODY, needs_root


class TestWithoutAPath:
    @pytest.mark.parametrize(
        "content",
        [b"", b"x", b"a\nb\r\n", bytes(range(256)) * 20, b"y" * 4096],
        ids=["empty", "one byte", "lines", "binary", "a page"],
    )
    def test_the_program_reads_it_and_so_do_its_children(
        self, launches: Launches, certificates: Certificates, content: bytes
    ) -> None:
        script = 'cat "$FILE"; cat < "$FILE"; sh -c \'cat "$FILE"\'; (cat "$FILE"); echo "$FILE" >&2'
        with FakeBridge(certificates.server(), bundle({"FILE": content})) as bridge:
            done = launches.run(["sh", "-c", script], FILE, bridge=bridge.url, options=["--quiet=1"])

        assert done.returncode == 0, done.stderr
        assert done.stdout == content * 4
        assert int(done.stderr.decode().removeprefix("/proc/self/fd/")) >= 100

    def test_five_megabytes_come_exactly(self, launches: Launches, certificates: Certificates) -> None:
        content = os.urandom(1 << 20) * 5 + b"end"
        with FakeBridge(certificates.server(), bundle({"FILE": content, "SECRET": CANARY})) as bridge:
            variables = FILE | {"SECRET": "bao:kv/db#secret"}
            done = launches.run(["sh", "-c", 'printf %s "$SECRET"; cat "$FILE"'], variables, bridge=bridge.url)

        assert done.returncode == 0, done.stderr
        assert done.stdout == CANARY + content
        assert b"1 secret in memfd-secret memory by preload, 1 in files" in done.stderr

    def test_nobody_can_change_it(self, launches: Launches, certificates: Certificates) -> None:
        code = """
import errno, fcntl, mmap, os
path = os.environ["FILE"]
number = int(path.rpartition("/")[2])
seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
assert fcntl.fcntl(number, fcntl.F_GET_SEALS) == seals
os.chmod(number, 0o600)
def refused(act):
    try:
        act()
    except OSError as error:
        assert error.errno == errno.EPERM, error
        return True
for descriptor in (number, os.open(path, os.O_RDWR)):
    assert refused(lambda: os.write(descriptor, b"x"))
    assert refused(lambda: os.pwrite(descriptor, b"x", 0))
    assert refused(lambda: os.ftruncate(descriptor, 0))
    assert refused(lambda: os.ftruncate(descriptor, 10000))
    assert refused(lambda: mmap.mmap(descriptor, 0))
    assert refused(lambda: fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 0))
print(open(path).read())
"""
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run([sys.executable, "-c", code], FILE, bridge=bridge.url)

        assert (done.returncode, done.stdout) == (0, CANARY + b"\n"), done.stderr

    def test_its_mode_and_owner(self, launches: Launches, certificates: Certificates) -> None:
        variables = {
            "A": "file:bao:kv/db#key",
            "B": "file(mode=0640):bao:kv/db#key",
            **({"C": "file(owner=1234:5678):bao:kv/db#key"} if is_root() else {}),
        }
        with FakeBridge(certificates.server(), bundle(dict.fromkeys("ABC", CANARY))) as bridge:
            done = launches.run(["sh", "-c", 'stat -Lc %a:%u:%g "$A" "$B" $C'], variables, bridge=bridge.url)

        own = f"{os.geteuid()}:{os.getegid()}"
        assert done.stdout.decode().split() == [f"400:{own}", f"640:{own}", "400:1234:5678"][: len(variables)]

    def test_the_block_that_the_kernel_shows_has_the_path_only(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run(["sh", "-c", "tr '\\0' '\\n' < /proc/$$/environ"], FILE, bridge=bridge.url)

        assert b"FILE=/proc/self/fd/1" in done.stdout
        assert CANARY not in done.stdout + done.stderr

    def test_no_descriptor_of_ours_but_region_and_files(self, launches: Launches, certificates: Certificates) -> None:
        show = "for fd in /proc/self/fd/*; do readlink $fd; done; true"
        variables = dict.fromkeys("AB", "file:bao:kv/db#key")
        with FakeBridge(certificates.server(), bundle(dict.fromkeys("AB", CANARY))) as bridge:
            done = launches.run(["sh", "-c", show], variables, bridge=bridge.url)

        links = done.stdout.decode().splitlines()
        assert sum("memfd:strongroom-file" in link for link in links) == 2
        assert not [link for link in links if "socket:" in link or "/tls" in link]

    def test_a_child_for_which_descriptors_are_closed_cannot_read_it(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        code = "import os, subprocess; print(subprocess.run(['cat', os.environ['FILE']], close_fds={}).returncode)"
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            for closed, status in ((True, b"1\n"), (False, CANARY + b"0\n")):
                done = launches.run([sys.executable, "-c", code.format(closed)], FILE, bridge=bridge.url)
                assert done.stdout == status

    def test_a_static_program_reads_it(self, launches: Launches, certificates: Certificates) -> None:
        busybox = shutil.which("busybox")
        if busybox is None:
            pytest.skip("there is no busybox")
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY, "SECRET": b"s"})) as bridge:
            variables = FILE | {"SECRET": "bao:kv/db#secret"}
            script = 'cat "$FILE"; echo "$SECRET"'
            done = launches.run([busybox, "sh", "-c", script], variables, bridge=bridge.url)

        assert done.stdout == CANARY + b"s\n", done.stderr

    @pytest.mark.parametrize(
        ("values", "expected"), [({}, None), ({"FILE": b"the default"}, b"the default")], ids=["optional", "default"]
    )
    def test_one_that_is_missing(
        self, launches: Launches, certificates: Certificates, values: dict[str, bytes], expected: bytes | None
    ) -> None:
        option = "?optional" if expected is None else "?default=the default"
        with FakeBridge(certificates.server(), bundle(values)) as bridge:
            variables = {"FILE": f"file:bao:kv/db#key{option}", "A": "a"}
            done = launches.run(["sh", "-c", 'env -0; cat "${FILE-/dev/null}" >&2'], variables, bridge=bridge.url)

        assert (b"FILE" in environment_of(done.stdout)) == (expected is not None)
        assert done.stderr.endswith(expected or b"")
        assert done.returncode == 0

    def test_more_files_than_descriptors_stop_the_launch(self, launches: Launches, certificates: Certificates) -> None:
        variables = {f"F{number}": "file:bao:kv/db#key" for number in range(40)}
        with FakeBridge(certificates.server(), bundle(dict.fromkeys(variables, CANARY))) as bridge:
            done = launches.run(["echo", "started"], variables, bridge=bridge.url, sandbox=["nofile=40"])

        assert done.returncode != 0
        assert b"RLIMIT_NOFILE" in done.stderr or b"Too many open files" in done.stderr
        assert b"Traceback" not in done.stderr


@needs_root
class TestAnotherUser:
    """The user that a program changes to before it reads, as gosu and setpriv do it."""

    def read_as_nobody(
        self, launches: Launches, certificates: Certificates, value: str, reading: str
    ) -> tuple[int, bytes]:
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run([*AS_NOBODY, "sh", "-c", reading], {"FILE": value}, bridge=bridge.url)
        return done.returncode, done.stdout

    def test_cannot_open_what_belongs_to_root(self, launches: Launches, certificates: Certificates) -> None:
        assert self.read_as_nobody(launches, certificates, FILE["FILE"], 'cat "$FILE"')[0] != 0

    def test_opens_what_is_given_to_it(self, launches: Launches, certificates: Certificates) -> None:
        value = f"file(owner={NOBODY}):bao:kv/db#key"
        assert self.read_as_nobody(launches, certificates, value, 'cat "$FILE"') == (0, CANARY)

    def test_opens_what_its_group_may_read(self, launches: Launches, certificates: Certificates) -> None:
        value = f"file(owner=0:{NOBODY},mode=0440):bao:kv/db#key"
        assert self.read_as_nobody(launches, certificates, value, 'cat "$FILE"') == (0, CANARY)

    def test_reads_from_the_descriptor_whoever_owns_it(self, launches: Launches, certificates: Certificates) -> None:
        code = "python3 -c \"import os; print(os.pread(int(os.environ['FILE'].rpartition('/')[2]), 99, 0).decode())\""
        assert self.read_as_nobody(launches, certificates, FILE["FILE"], code) == (0, CANARY + b"\n")

    def test_keeps_other_processes_of_its_own_from_opening_it_when_it_has_a_secret_variable(
        self, launches: Launches, certificates: Certificates
    ) -> None:
        variables = {"FILE": f"file(owner={NOBODY}):bao:kv/db#key", "SECRET": "bao:kv/db#other"}
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY, "SECRET": b"x"})) as bridge:
            program = [*AS_NOBODY, "sh", "-c", 'echo "$FILE"; kill -STOP $$']
            with launches.started(program, variables, bridge=bridge.url) as process:
                assert process.stdout is not None
                number = int(process.stdout.readline().rpartition(b"/")[2])
                attack = [*AS_NOBODY, "cat", f"/proc/{process.pid}/fd/{number}"]
                done = subprocess.run(attack, capture_output=True, check=False, timeout=30)
                by_root = Path(f"/proc/{process.pid}/fd/{number}").read_bytes()

        assert (done.stdout, b"Permission denied" in done.stderr) == (b"", True)
        assert by_root == CANARY, "as the threat model says"

    def test_may_not_give_files_away_itself(self, memory: Path) -> None:
        memory.chmod(0o1777)
        code = (
            "import sys\n"
            "from wrapper.files.value import split_file_value as split\n"
            "from wrapper.files.written import *\n"
            f"target, _ = split('file(path={memory}/x,owner=1000):bao:kv/a#b')\n"
            "file = PlacedFile('FILE', target)\n"
            "try: file.receive(1, None)\n"
            "except ConfigError as error: print(error.message, '|', error.hint)\n"
            "file.remove()"
        )
        done = subprocess.run(
            [*AS_NOBODY, "/usr/bin/python3", "-B", "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert done.stdout.startswith(f"FILE: {memory}/x: Operation not permitted | user {NOBODY} may not give files")
        assert list(memory.iterdir()) == []


def test_no_module_of_files_is_imported_without_one(launches: Launches, certificates: Certificates) -> None:
    from tests.wrapper.test_imports import ENTRIES, imported, slow_ones  # noqa: PLC0415

    ours = {
        "wrapper.files.launch_files",
        "wrapper.files.value",
        "wrapper.files.written",
        "wrapper.files.directory",
        "strongroom.launch.answer",
    }
    with FakeBridge(certificates.server(), bundle({"FILE": CANARY, "SECRET": b"x"})) as bridge:
        without = imported(ENTRIES[0], launches.environ(bridge.url, {"SECRET": "bao:kv/db#key"}))
        with_one = imported(ENTRIES[0], launches.environ(bridge.url, FILE))

    assert without & ours == set()
    assert ours <= with_one
    assert slow_ones(with_one) == slow_ones(without)
