"""Secrets as files at paths of their own, and what is left of them."""

import os
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

from strongroom.launch.bundle import FILES_MEDIA_TYPE
from strongroom.launch.region import encode
from tests.support.bridge.fake import FakeBridge, Script, answer, bundle, problem, read_request, response, with_files
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from tests.wrapper.delivered import CANARY, Arrived, at, needs_root
from wrapper import exit_status


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
                assert process.wait(60) == 128 + number

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
