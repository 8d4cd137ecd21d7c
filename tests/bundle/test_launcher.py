"""The program that starts a bundle: from wherever it lies, with whatever environment, it stays out of the way."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.bundle.conftest import SECRET
from tests.bundle.roots import compile_c


def run(
    program: Path | str,
    *words: str,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, *words], env=env or {}, cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def copy(directory: Path, tmp_path: Path) -> Iterator[Path]:
    """A bundle to be moved about."""
    shutil.copytree(directory, tmp_path / "copy")
    yield tmp_path / "copy"
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)


class TestWhereItLies:
    def test_moved(self, copy: Path, tmp_path: Path) -> None:
        copy.rename(tmp_path / "moved")
        assert run(tmp_path / "moved/strongroom", "version").stdout.startswith("strongroom ")

    def test_reached_by_symbolic_links(self, directory: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(directory)
        (tmp_path / "strongroom").symlink_to("link/strongroom")
        assert run(tmp_path / "strongroom", "version").stdout.startswith("strongroom ")

    def test_by_a_relative_path_and_by_search(self, directory: Path) -> None:
        assert run("./strongroom", "version", cwd=directory).returncode == 0
        assert run("sh", "-c", "strongroom version", env={"PATH": f"{directory}:/bin"}).returncode == 0

    def test_deep_below(self, copy: Path, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["d" * 200] * 15)
        deep.mkdir(parents=True)
        copy.rename(deep / "b")
        assert run(deep / "b/strongroom", "run", "--", "/bin/echo", "deep").stdout == "deep\n"

    def test_too_deep_is_refused_with_the_reason(self, copy: Path, tmp_path: Path) -> None:
        copy.rename(tmp_path / "b")
        inside = tmp_path
        here = os.open(tmp_path, os.O_RDONLY)
        for _ in range(22):  # past PATH_MAX, which is 4096
            os.mkdir("d" * 200, dir_fd=here)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here, inside = below, inside / ("d" * 200)
        os.rename(tmp_path / "b", "b", dst_dir_fd=here)
        result = subprocess.run(
            ["sh", "-c", f"cd /proc/self/fd/{here}/b && exec ./strongroom version"],
            pass_fds=[here],
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(here)
        assert result.returncode in {111, 126}
        assert result.stderr.startswith("strongroom: error: ")

    def test_with_a_space_in_its_path_it_works_but_for_secrets(
        self, copy: Path, tmp_path: Path, references: Mapping[str, str], certificate_settings: Mapping[str, str]
    ) -> None:
        copy.rename(tmp_path / "a b")
        program = tmp_path / "a b/strongroom"
        assert run(program, "run", "--", "/bin/echo", "no secrets").stdout == "no secrets\n"
        result = run(program, "run", "--", "/bin/true", env={**references, **certificate_settings})
        assert result.returncode == 117
        assert "LD_PRELOAD cannot carry a colon or a space" in result.stderr

    @pytest.mark.parametrize("character", [":", ";", "$"])
    def test_characters_that_the_loader_cannot_take(self, copy: Path, tmp_path: Path, character: str) -> None:
        copy.rename(tmp_path / f"a{character}b")
        result = run(tmp_path / f"a{character}b/strongroom", "version")
        assert result.returncode == 111
        assert "must not have a colon, a semicolon or a dollar sign" in result.stderr

    def test_alone_it_says_what_is_missing(self, directory: Path, tmp_path: Path) -> None:
        shutil.copy(directory / "strongroom", tmp_path / "strongroom")
        result = run(tmp_path / "strongroom", "version")
        assert result.returncode == 126
        assert "copy the whole bundle" in result.stderr

    def test_a_loader_that_lost_its_mode(self, copy: Path) -> None:
        (copy / "lib/ld.so").chmod(0o644)
        result = run(copy / "strongroom", "version")
        assert result.returncode == 126
        assert "lib/ld.so: cannot be executed" in result.stderr


class TestWhatTheApplicationGets:
    def test_exactly_the_environment_of_the_launcher(self, directory: Path) -> None:
        environ = {
            b"LD_LIBRARY_PATH": b"/no/such",
            b"LD_TRACE_NOTHING": b"1",
            b"LC_ALL": b"tr_TR.ISO-8859-9",
            b"LC_CTYPE": b"C.UTF-8",
            b"OPENSSL_CONF": b"/no/such.cnf",
            b"GLIBC_TUNABLES": b"glibc.malloc.check=3",
            b"GCONV_PATH": b"/no/such",
            b"PYTHONHOME": b"/no/such",
            b"PYTHONPATH": b"/no/such",
            b"RES_OPTIONS": b"attempts:1",
            b".DOTTED": b"1",
            b"": b"no name",
            b"EMPTY": b"",
            b"EQUALS": b"a=b=c",
            b"BYTES": bytes(range(1, 256)),
            b"LARGE": b"x" * 100_000,
        }
        del environ[b""]  # neither Python nor POSIX knows variables without a name
        result = subprocess.run(
            [directory / "strongroom", "run", "--", "/usr/bin/env", "-0"], env=environ, capture_output=True, check=True
        )
        assert result.stdout.split(b"\0")[:-1] == [name + b"=" + value for name, value in environ.items()]
        assert result.stderr == b""

    @pytest.mark.parametrize("environ", [{}, {"LANG": "C"}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8", "A": "b"}])
    def test_no_locale_is_added_or_lost(self, directory: Path, environ: dict[str, str]) -> None:
        result = run(directory / "strongroom", "run", "--", "/usr/bin/env", env=environ)
        assert dict(line.split("=") for line in result.stdout.splitlines()) == environ

    def test_arguments_as_they_are(self, directory: Path) -> None:
        words = ["", " ", "-x", "--", "a\nb", "ü", "\udcff"]
        printed = subprocess.run(
            [directory / "strongroom", "run", "--", "/usr/bin/printf", "%s|", *words], capture_output=True, check=True
        ).stdout
        assert printed == b"".join(os.fsencode(word) + b"|" for word in words)

    @pytest.mark.parametrize("blocked", [(), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM), (signal.SIGUSR1,)])
    def test_the_signal_mask_that_the_launcher_had(self, directory: Path, blocked: tuple[signal.Signals, ...]) -> None:
        result = subprocess.run(
            [directory / "strongroom", "run", "--", "/bin/cat", "/proc/self/status"],
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked),
            capture_output=True,
            text=True,
            check=True,
        )
        mask = next(int(line.split()[1], 16) for line in result.stdout.splitlines() if line.startswith("SigBlk"))
        assert mask == sum(1 << (number - 1) for number in blocked)

    def test_ignored_signals_stay_ignored(self, directory: Path) -> None:
        result = run("sh", "-c", f"trap '' INT; exec {directory}/strongroom run -- /bin/cat /proc/self/status")
        ignored = next(int(line.split()[1], 16) for line in result.stdout.splitlines() if line.startswith("SigIgn"))
        assert ignored & (1 << (signal.SIGINT - 1))
        assert not ignored & (1 << (signal.SIGPIPE - 1))

    def test_its_own_library_path_and_not_the_bundles(
        self, directory: Path, tmp_path: Path, references: Mapping[str, str], certificate_settings: Mapping[str, str]
    ) -> None:
        program = compile_c("gcc", "show.c", tmp_path / "show")
        environ = {**references, **certificate_settings, "LD_LIBRARY_PATH": "/its/own"}
        with subprocess.Popen(
            [directory / "strongroom", "run", "--", program],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == f"{SECRET}\n"
            seen = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            process.communicate("")
        library = next(directory.rglob("libstrongroom.so"))
        assert b"LD_LIBRARY_PATH=/its/own" in seen
        assert f"LD_PRELOAD={library}".encode() in seen


class TestVerbs:
    def test_doctor(self, directory: Path) -> None:
        result = run(directory / "strongroom", "doctor")
        assert result.returncode == 0, result.stdout
        assert "everything that strongroom run needs is here" in result.stdout

    def test_what_a_bundle_does_not_have_is_named(self, directory: Path) -> None:
        result = run(directory / "strongroom", "bridge")
        assert result.returncode != 0
        assert "strongroom: error: " in result.stderr
        assert "Traceback" not in result.stderr

    def test_plan(
        self, directory: Path, references: Mapping[str, str], certificate_settings: Mapping[str, str]
    ) -> None:
        environ = {**references, **certificate_settings, "STRONGROOM_BRIDGE": "https://127.0.0.1:9"}
        result = run(directory / "strongroom", "plan", "--wait=0", "--", "/bin/true", env=environ)
        assert result.returncode == 114
        assert "127.0.0.1:9: Connection refused" in result.stderr

    def test_the_same_version_as_the_installation(self, directory: Path) -> None:
        assert run(directory / "strongroom", "version").stdout == f"strongroom {version('strongroom')}\n"

    def test_errors_that_need_more_of_the_library(self, directory: Path, tmp_path: Path) -> None:
        (tmp_path / "settings.toml").write_text("bridge = [")
        cases = [
            ({"STRONGROOM_BRIGDE": "x"}, [], "did you mean STRONGROOM_BRIDGE?"),
            ({}, [f"--config={tmp_path}/settings.toml"], "Invalid value"),
            ({"X": "bao:a#b", "STRONGROOM_BRIDGE": "https://b\u00fccher.test"}, [], "strongroom: error: "),
        ]
        for environ, flags, words in cases:
            result = run(directory / "strongroom", "run", *flags, "--", "/bin/true", env=environ)
            assert result.returncode == 111, result.stderr
            assert words in result.stderr
            assert "Traceback" not in result.stderr
