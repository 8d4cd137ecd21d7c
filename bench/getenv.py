"""What reading a secret costs a program: getenv() in nanoseconds and instructions, with our library and without.

The library is given a region directly, as a launch would leave it, so that no bridge is needed.
"""

import fcntl
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import preload
from bench.samples import Series
from bench.suite import FailedError, Run, compile_program
from strongroom.errors import ConfigError
from strongroom.launch.region import encode
from strongroom.linux import memfd_secret
from wrapper.memory import SecretMemory, to_high_descriptor
from wrapper.settings import REQUIRE_ANY

NAME: Final = "getenv"
SUMMARY: Final = "getenv() of the library beside glibc's and musl's, reading memfd_secret memory, starting programs"
COMPILERS: Final = {"glibc": "gcc", "musl": "musl-gcc"}
KINDS: Final = ("hit", "spread", "secure", "miss")
MAX_GROWTH: Final = 1.3  # of a hit, from 10 to 10,000 variables
TYPICAL: Final = 40  # variables
SLOW: Final = 1000  # variables: beyond, a linear search takes its time
_TIMEOUT_S: Final = 120
_WORDS: Final = ("DB", "API", "AWS", "REDIS", "S3", "JWT", "SMTP", "KUBERNETES")  # as environments begin
_VALGRIND_MACHINE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
# Valgrind's tool itself, which is static: its launcher would load the library, and take the region.
_CALLGRIND: Final = f"/usr/libexec/valgrind/callgrind-{_VALGRIND_MACHINE}-linux"


def name_of(number: int) -> str:
    """Make the name of a variable, as getenv.c does, too."""
    return f"{_WORDS[number % len(_WORDS)]}_SETTING_{number}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One process to measure in.

    Attributes:
        program: getenv.c, compiled.
        libc: that it is compiled for.
        is_ours: whether the library is loaded, and half of the variables are secrets; the one in the middle is.
        variables: how many there are.
    """

    program: Path
    libc: str
    is_ours: bool
    variables: int

    @property
    def target(self) -> str:
        """What figures call it."""
        return f"strongroom on {self.libc}" if self.is_ours else self.libc

    def run(self, what: str, *, threads: int = 1, samples: int = 1, calls: int, is_counted: bool = False) -> bytes:
        """Run getenv.c and return what it prints, or what callgrind prints when instructions are to be counted.

        Raises:
            ConfigError: valgrind is missing.
            FailedError: it fails.
        """
        words = [str(self.program), what, *map(str, (self.variables, threads, samples, calls))]
        if is_counted and not os.access(_CALLGRIND, os.X_OK):
            raise ConfigError(f"{_CALLGRIND}: not installed", hint="make bench installs what the benchmarks need")
        environ, descriptor = self._environ(is_counted=is_counted)
        if is_counted:
            words = [_CALLGRIND, "--tool=callgrind", "--callgrind-out-file=/dev/null", *words]
            environ["VALGRIND_LAUNCHER"] = _CALLGRIND
        try:
            done = subprocess.run(
                words,
                env=environ,
                pass_fds=() if descriptor is None else (descriptor,),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        finally:
            if descriptor is not None:
                os.close(descriptor)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
            where = f"{what} with {self.variables} variables on {self.target}"
            raise FailedError(f"getenv.c: {where}: ends with {done.returncode}: {said[0]}")
        return done.stderr if is_counted else done.stdout

    def nanoseconds(self, what: str, threads: int, calls: int, samples: int) -> list[float]:
        """Return what each call took, one number per sample."""
        return [float(line) for line in self.run(what, threads=threads, calls=calls, samples=samples).split()]

    def instructions(self, what: str) -> float:
        """Return how many instructions one call takes: the difference that more calls make."""
        more = 1000 if self.is_ours or self.variables <= SLOW else 100  # a linear search takes its time
        totals = [self._collected(self.run(what, calls=calls, is_counted=True)) for calls in (more, 2 * more)]
        return (totals[1] - totals[0]) / more

    @staticmethod
    def _collected(said: bytes) -> int:
        for line in said.decode(errors="replace").splitlines():
            _, found, number = line.partition("Collected : ")
            if found:
                return int(number.split()[0])
        raise FailedError("callgrind does not say how many instructions it saw")

    def _environ(self, *, is_counted: bool) -> tuple[dict[str, str], int | None]:
        everything = {name_of(number): f"value-{number:026d}" for number in range(self.variables)}
        if not self.is_ours:
            return everything, None
        is_secret = {name_of(number) for number in range(self.variables) if number % 2 == (self.variables // 2) % 2}
        image = encode((name, value.encode()) for name, value in everything.items() if name in is_secret)
        rung, descriptor = _ordinary_region(image) if is_counted else _secret_region(image)
        ours = {"LD_PRELOAD": preload.library_path(), "STRONGROOM_REGION": f"{rung}:{descriptor}"}
        return {name: "" if name in is_secret else value for name, value in everything.items()} | ours, descriptor


def _secret_region(image: bytes) -> tuple[str, int]:
    memory = SecretMemory(REQUIRE_ANY)  # the best there is; where it is ordinary memory, a note says so
    memory.allocate(len(image))[:] = image
    return memory.rung, memory.seal()


def _ordinary_region(image: bytes) -> tuple[str, int]:
    """Return a region for valgrind, which does not know memfd_secret(2). The instructions of a call are the same."""
    descriptor = os.memfd_create("region", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, image)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return "any", to_high_descriptor(descriptor)


def make_cases(
    directory: Path, leave_out: Callable[[str, str], None] | None = None
) -> dict[tuple[str, bool, int], Case]:
    """Compile getenv.c for each C library; returns the cases by libc, whether the library is loaded, and variables.

    Args:
        directory: for the programs.
        leave_out: told that musl is missing and why; without it that is an error.

    Raises:
        ConfigError: a compiler is missing.
    """
    programs = {}
    for libc, compiler in COMPILERS.items():
        try:
            programs[libc] = compile_program("getenv", directory, compiler=compiler, flags=("-pthread",))
        except ConfigError as error:
            if leave_out is None or libc == "glibc":
                raise
            leave_out(libc, f"{NAME}: {error}")
    return {
        (libc, is_ours, variables): Case(program=program, libc=libc, is_ours=is_ours, variables=variables)
        for libc, program in programs.items()
        for is_ours in (False, True)
        for variables in (10, TYPICAL, 100, 1000, 10_000)
    }


def measure(run: Run) -> None:
    """Measure calls, their instructions, their growth, memory, and starting programs."""
    cases = make_cases(run.directory, run.leave_out)
    run.tell(f"{NAME}: calls", 0.0)
    _measure_calls(run, cases)
    _measure_growth(run, cases)
    run.tell(f"{NAME}: threads", 0.4)
    typical = {case.target: case for (_, _, variables), case in cases.items() if variables == TYPICAL}
    _measure_one(run, typical, "hit", threads=8, calls=100_000)
    run.tell(f"{NAME}: instructions", 0.5)
    count_instructions(run, cases)
    run.tell(f"{NAME}: starting programs", 0.9)
    _measure_one(run, typical, "spawn", threads=1, calls=20)
    _measure_memory(run, typical["glibc"])


def _measure_memory(run: Run, case: Case) -> None:
    try:
        os.close(memfd_secret())
    except OSError as error:
        run.leave_out("memfd_secret", f"{NAME}: {error.strerror}; the library reads its secrets from other memory")
        return
    contenders = {what: _batch(case, what, threads=1, calls=50, samples=5) for what in ("heap", "secret")}
    series = run.interleaved(contenders, rounds=_rounds(run))
    for what, times in series.items():
        run.result.add(NAME, "latency", "s", _seconds(times), target=what, operation="read 64 KiB")
    name = f"{NAME}/read 64 KiB/memfd_secret:heap"
    run.ratio(name, series["secret"], series["heap"], better="lower", noise=0.3)


def _measure_calls(run: Run, cases: Mapping[tuple[str, bool, int], Case]) -> None:
    for what in KINDS:
        for variables in (10, TYPICAL, 100, 1000, 10_000):
            if what != "hit" and variables not in {TYPICAL, 10_000}:
                continue
            calls = 20_000 if variables <= SLOW else 4000
            if what == "spread":
                calls = max(calls, variables)  # each name as often
            chosen = {case.target: case for (_, _, count), case in cases.items() if count == variables}
            _measure_one(run, chosen, what, threads=1, calls=calls)


def _measure_growth(run: Run, cases: Mapping[tuple[str, bool, int], Case]) -> None:
    """Measure few and many variables in the same rounds: a ratio of what was measured at other times is none."""
    ours = {(case.libc, case.variables): case for case in cases.values() if case.is_ours}
    libcs = sorted({libc for libc, _ in ours})
    batches = {
        f"{libc}/{variables}": _batch(ours[libc, variables], "hit", threads=1, calls=20_000, samples=3)
        for libc in libcs
        for variables in (10, 10_000)
    }
    series = run.interleaved(batches, rounds=_rounds(run))
    for libc in libcs:
        name = f"{NAME}/hit/growth of time from 10 to 10,000 variables/{libc}"
        run.ratio(name, series[f"{libc}/10000"], series[f"{libc}/10"], better="lower", aim=MAX_GROWTH)


def _measure_one(run: Run, chosen: Mapping[str, Case], what: str, *, threads: int, calls: int) -> None:
    is_slow = any(case.variables > SLOW for case in chosen.values())
    samples = 1 if is_slow else 3 if threads == 1 else 2
    contenders = {
        target: _batch(case, what, threads=threads, calls=calls, samples=samples) for target, case in chosen.items()
    }
    series = run.interleaved(contenders, rounds=_rounds(run))
    for target, times in series.items():
        labels = {"target": target, "operation": what, "threads": str(threads)}
        run.result.add(NAME, "latency", "s", _seconds(times), variables=str(chosen[target].variables), **labels)
    variables = next(iter(chosen.values())).variables
    for libc in sorted({case.libc for case in chosen.values()}):
        aim = 1.0 if (what, threads, variables) == ("hit", 1, TYPICAL) else None
        suffix = f", {threads} threads" if threads > 1 else ""
        name = f"{NAME}/{what}/{variables} variables{suffix}/strongroom:{libc}"
        run.ratio(name, series[f"strongroom on {libc}"], series[libc], better="lower", aim=aim, noise=0.3)


def _batch(case: Case, what: str, *, threads: int, calls: int, samples: int) -> Callable[[], list[float]]:
    return lambda: case.nanoseconds(what, threads=threads, calls=calls, samples=samples)


def _seconds(nanoseconds: Series) -> Series:
    return Series([[value / 1e9 for value in samples] for samples in nanoseconds.rounds])


def _rounds(run: Run) -> int:
    return 4 if run.quick else 25


def count_instructions(run: Run, cases: Mapping[tuple[str, bool, int], Case]) -> None:
    """Count what one call takes, and claim it: the same on every machine with the same compiler and C library."""
    hits = {}
    for (libc, is_ours, variables), case in cases.items():
        if variables not in {10, TYPICAL, 10_000} or (run.quick and (libc, variables) == ("musl", 10)):
            continue
        for what in KINDS if variables == TYPICAL else ("hit",):
            counted = case.instructions(what)
            hits[libc, is_ours, variables, what] = counted
            noise = 0.1 if is_ours else None  # other compilers differ by less; the C libraries are not ours to gate
            run.count(f"{NAME}/{what}/{variables} variables/{case.target}", counted, "instructions", noise=noise)
    for libc in COMPILERS:
        if (libc, True, 10, "hit") in hits:
            growth = hits[libc, True, 10_000, "hit"] / hits[libc, True, 10, "hit"]
            name = f"{NAME}/hit/growth of instructions from 10 to 10,000 variables/{libc}"
            run.count(name, growth, "ratio", aim=MAX_GROWTH, noise=0.02)
