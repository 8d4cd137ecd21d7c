"""Launches whose secrets come as files: what the application finds, and what is left when a launch fails."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.launch.bundle import FILES_MEDIA_TYPE
from strongroom.launch.region import encode
from tests.support.bridge.fake import FakeBridge, Script, answer, bundle, problem, read_request, response, with_files
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.test_launch import environment_of
from wrapper import exit_status

CANARY = b"canary-Wd82Rm"
FILE = {"FILE": "file:bao:kv/db#key"}
NOBODY = 65_534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

needs_root = pytest.mark.skipif(not is_root(), reason="changing users needs root")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on a tmpfs."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-", dir="/dev/shm"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class Arrived:
    """An answer that is here already."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content

    def read_into(self, buffer: memoryview) -> None:
        buffer[:] = self._content


def at(path: Path, options: str = "") -> dict[str, str]:
    return {"FILE": f"file(path={path}{options}):bao:kv/db#key"}


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


class TestWithAPath:
    def test_it_is_there_with_mode_owner_and_content(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        path = memory / "db.ini"
        owner = "1234:5678" if is_root() else f"{os.geteuid()}:{os.getegid()}"
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            variables = at(path, f",mode=0440,owner={owner}")
            done = launches.run(["sh", "-c", 'echo "$FILE"; cat "$FILE"'], variables, bridge=bridge.url)

        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{path}\n".encode() + CANARY
        found = path.stat()
        assert (f"{found.st_uid}:{found.st_gid}", found.st_mode & 0o7777, found.st_nlink) == (owner, 0o440, 1)
        assert list(memory.iterdir()) == [path]

    def test_it_takes_the_place_of_an_older_one_at_once(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        path = memory / "key"
        path.write_bytes(b"old")
        with path.open("rb") as open_already, FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            assert launches.run(["true"], at(path), bridge=bridge.url).returncode == 0
            assert open_already.read() == b"old"

        assert path.read_bytes() == CANARY
        assert list(memory.iterdir()) == [path]

    def test_a_symbolic_link_in_its_place_is_replaced_and_not_followed(
        self, launches: Launches, certificates: Certificates, memory: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "elsewhere"
        target.write_bytes(b"untouched")
        path = memory / "key"
        path.symlink_to(target)
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            assert launches.run(["true"], at(path), bridge=bridge.url).returncode == 0

        assert (path.is_symlink(), path.read_bytes(), target.read_bytes()) == (False, CANARY, b"untouched")

    def refused(self, launches: Launches, certificates: Certificates, path: Path) -> str:
        """Return the message for a path that is refused before anything is fetched."""
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run(["echo", "started"], at(path), bridge=bridge.url)
        assert (done.returncode, done.stdout, bridge.connections) == (exit_status.CONFIG, b"", 0)
        return done.stderr.decode()

    def test_a_directory_on_a_disk_is_refused(
        self, launches: Launches, certificates: Certificates, tmp_path: Path
    ) -> None:
        message = self.refused(launches, certificates, tmp_path / "key")
        assert f"FILE: path={tmp_path}/key: {tmp_path} is not memory" in message
        assert "hint: mount a tmpfs there" in message
        assert list(tmp_path.iterdir()) == []

    def test_a_directory_that_does_not_exist_is_refused(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        assert f"{memory}/none: No such file" in self.refused(launches, certificates, memory / "none" / "key")

    def test_a_file_in_the_place_of_a_directory_is_refused(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        (memory / "file").write_bytes(b"")
        assert "Not a directory" in self.refused(launches, certificates, memory / "file" / "key")

    def test_a_symbolic_link_on_the_way_is_refused_with_the_path_that_it_leads_to(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        (memory / "real").mkdir()
        (memory / "link").symlink_to("real")
        message = self.refused(launches, certificates, memory / "link" / "key")
        assert f"{memory}/link is a symbolic link" in message
        assert f"{memory}/real" in message

    @needs_root
    @pytest.mark.parametrize("inner", ["", "inner"], ids=["itself", "above"])
    def test_a_directory_of_somebody_else_is_refused(
        self, launches: Launches, certificates: Certificates, memory: Path, inner: str
    ) -> None:
        foreign = memory / "foreign"
        (foreign / inner).mkdir(parents=True)
        os.chown(foreign, 1234, 1234)
        message = self.refused(launches, certificates, foreign / inner / "key")
        assert f"{foreign} belongs to user 1234, who could put another file there" in message

    @needs_root
    def test_a_directory_of_the_one_who_gets_the_file_will_do(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        os.chown(memory, 1234, 1234)
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run(["true"], at(memory / "key", ",owner=1234"), bridge=bridge.url)
        assert done.returncode == 0, done.stderr

    def test_a_directory_that_everybody_may_write_to_is_refused_unless_it_is_sticky(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        memory.chmod(0o777)
        assert f"everybody may put another file into {memory}" in self.refused(launches, certificates, memory / "key")
        memory.chmod(0o770)
        group = f"group {memory.stat().st_gid} may put another file into {memory}"
        assert group in self.refused(launches, certificates, memory / "key")
        memory.chmod(0o1777)
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            assert launches.run(["true"], at(memory / "key"), bridge=bridge.url).returncode == 0

    @needs_root
    def test_a_volume_of_its_own_may_be_open_to_all_as_an_empty_dir_is(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        path = memory / "volume" / "key"
        path.parent.mkdir()
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            words = launches.command(["cat", str(path)])
            mount = f'mount -t tmpfs -o mode=0777 none {path.parent} && exec "$@"'
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", mount, "sh", *words],
                env=launches.environ(bridge.url, at(path)),
                cwd=ROOT,
                capture_output=True,
                check=False,
                timeout=30,
            )
        assert (done.returncode, done.stdout) == (0, CANARY), done.stderr

    @needs_root
    def test_a_volume_without_room_is_an_error_and_no_crash(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        with FakeBridge(certificates.server(), bundle({"FILE": b"x" * 100_000})) as bridge:
            words = launches.command(["echo", "started"])
            mount = f'mount -t tmpfs -o size=64k none {memory} && "$@"; status=$?; ls -A {memory}; exit $status'
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", mount, "sh", *words],
                env=launches.environ(bridge.url, at(memory / "key")),
                cwd=ROOT,
                capture_output=True,
                check=False,
                timeout=30,
            )
        assert (done.returncode, done.stdout) == (exit_status.CONFIG, b""), done.stderr
        assert f"FILE: {memory}/key: No space left on device".encode() in done.stderr

    def test_two_files_with_one_path_are_refused(self, launches: Launches, memory: Path) -> None:
        value = f"file(path={memory}/key):bao:kv/db#key"
        done = launches.run(["true"], {"A": value, "B": value}, bridge="https://127.0.0.1:1")
        assert (done.returncode, b"B and A: both have path=" in done.stderr) == (exit_status.CONFIG, True)

    def test_a_template_of_the_image(
        self, launches: Launches, certificates: Certificates, memory: Path, tmp_path: Path
    ) -> None:
        template = tmp_path / "db.ini.tmpl"
        template.write_text("[db]\nurl=postgres://${bao:kv/db#user}:${bao:kv/db#password}@db\n")
        seen: list[bytes] = []

        def play(connection: ssl.SSLSocket) -> None:
            seen.append(read_request(connection)[1])
            connection.sendall(response(200, with_files(encode([]), {"FILE": CANARY}), media_type=FILES_MEDIA_TYPE))

        variables = {"FILE": f"file(template={template},path={memory}/db.ini):"}
        with FakeBridge(certificates.server(), play) as bridge:
            done = launches.run(["cat", f"{memory}/db.ini"], variables, bridge=bridge.url)

        assert (done.returncode, done.stdout) == (0, CANARY), done.stderr
        assert b'"as":"file"' in seen[0]
        assert str(memory).encode() not in seen[0]
        assert str(template).encode() not in seen[0]


class TestWhatIsLeft:
    """A launch that fails leaves no file, whenever it fails."""

    @pytest.mark.parametrize(
        ("script", "status"),
        [
            (answer(problem(403, detail="nobody")), exit_status.DENIED),
            (answer(response(200, encode([]))), exit_status.UNREACHABLE),
            (answer(response(200, b"x" * 200, media_type=FILES_MEDIA_TYPE)), exit_status.INTEGRITY),
            (answer(response(200, b"x", media_type=FILES_MEDIA_TYPE)), exit_status.INTEGRITY),
            (
                answer(response(200, with_files(encode([]), {"FILE": CANARY})[:-1], media_type=FILES_MEDIA_TYPE)),
                exit_status.INTEGRITY,
            ),
            (
                answer(response(200, with_files(encode([]), {"FILE": CANARY}) + b"x", media_type=FILES_MEDIA_TYPE)),
                exit_status.INTEGRITY,
            ),
            (
                answer(response(200, with_files(encode([]), {"FILE": CANARY}), media_type=FILES_MEDIA_TYPE)[:-1]),
                exit_status.UNREACHABLE,
            ),
            (answer(response(200, with_files(encode([]), {}), media_type=FILES_MEDIA_TYPE)), exit_status.INTEGRITY),
            (
                answer(response(200, with_files(b"x" * 48, {"FILE": CANARY}), media_type=FILES_MEDIA_TYPE)),
                exit_status.INTEGRITY,
            ),
            (
                answer(
                    response(200, with_files(encode([]), {"FILE": CANARY, "MORE": CANARY}), media_type=FILES_MEDIA_TYPE)
                ),
                exit_status.INTEGRITY,
            ),
            (
                answer(
                    response(200, with_files(encode([("FILE", CANARY)]), {"FILE": CANARY}), media_type=FILES_MEDIA_TYPE)
                ),
                exit_status.INTEGRITY,
            ),
        ],
        ids=[
            *(
                "denied",
                "a region",
                "nonsense",
                "one byte",
                "a length too small",
                "a length too great",
                "cut",
                "no file",
            ),
            *("no region", "one too many", "as a variable, too"),
        ],
    )
    def test_of_an_answer_that_is_refused(
        self, launches: Launches, certificates: Certificates, memory: Path, script: Script, status: int
    ) -> None:
        with FakeBridge(certificates.server(), script) as bridge:
            done = launches.run(["echo", "started"], at(memory / "key"), bridge=bridge.url)

        assert (done.returncode, done.stdout) == (status, b""), done.stderr
        assert b"Traceback" not in done.stderr
        assert CANARY not in done.stderr
        assert list(memory.iterdir()) == []

    def test_of_a_program_that_cannot_be_executed(
        self, launches: Launches, certificates: Certificates, memory: Path, tmp_path: Path
    ) -> None:
        program = tmp_path / "program"
        linker = "-Wl,--dynamic-linker=/missing/ld.so"
        main = b"int main(void) { return 0; }"
        subprocess.run(["gcc", linker, "-xc", "-o", program, "-"], input=main, check=True, timeout=60)
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run([str(program)], at(memory / "key"), bridge=bridge.url)

        assert done.returncode == exit_status.CANNOT_EXEC, done.stderr
        assert list(memory.iterdir()) == []

    def test_of_a_directory_in_its_place(self, launches: Launches, certificates: Certificates, memory: Path) -> None:
        (memory / "key" / "inside").mkdir(parents=True)
        with FakeBridge(certificates.server(), bundle({"FILE": CANARY})) as bridge:
            done = launches.run(["echo", "started"], at(memory / "key"), bridge=bridge.url)

        assert done.returncode == exit_status.CONFIG
        assert b"Is a directory" in done.stderr
        assert [path.name for path in memory.rglob("*")] == ["key", "inside"]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_of_a_signal_in_the_middle_of_the_content(
        self, launches: Launches, certificates: Certificates, memory: Path, number: signal.Signals
    ) -> None:
        whole = response(200, with_files(encode([]), {"FILE": CANARY * 100}), media_type=FILES_MEDIA_TYPE)
        waiting: list[FakeBridge] = []

        def play(connection: ssl.SSLSocket) -> None:
            read_request(connection)
            connection.sendall(whole[:-100])
            waiting[0].until_stopped()

        with FakeBridge(certificates.server(), play) as bridge:
            waiting.append(bridge)
            with launches.started(["true"], at(memory / "key"), bridge=bridge.url) as process:
                while not list(memory.iterdir()):
                    assert process.poll() is None
                process.send_signal(number)
                assert process.wait(10) == 128 + number

        assert list(memory.iterdir()) == []

    def test_of_an_answer_that_was_lost_and_fetched_again(
        self, launches: Launches, certificates: Certificates, memory: Path
    ) -> None:
        lost = response(200, with_files(encode([]), {"FILE": b"x" * 100_000}), media_type=FILES_MEDIA_TYPE)[:-1]
        variables = at(memory / "key") | {"OTHER": "file:bao:kv/db#other?optional", "STRONGROOM_RETRIES": "1"}
        with FakeBridge(certificates.server(), answer(lost), bundle({"FILE": CANARY})) as bridge:
            done = launches.run(["cat", f"{memory}/key"], variables, bridge=bridge.url)

        assert (done.returncode, done.stdout) == (0, CANARY), done.stderr
        assert len(list(memory.iterdir())) == 1

    def test_a_file_of_somebody_else_with_its_name_is_not_removed(self, memory: Path) -> None:
        from wrapper.files.value import FileTarget  # noqa: PLC0415
        from wrapper.files.written import PlacedFile  # noqa: PLC0415

        target = FileTarget()
        target.path = str(memory / "key")
        file = PlacedFile("FILE", target)
        file.receive(2, Arrived(b"ok"))
        file.put_in_place()
        (memory / "theirs").write_bytes(b"theirs")
        (memory / "theirs").rename(memory / "key")
        file.remove()

        assert (memory / "key").read_bytes() == b"theirs"


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
