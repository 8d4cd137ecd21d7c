"""Which children may have secrets."""

from pathlib import Path

import pytest

from tests.preload.launch import PASSWORD, Launcher, Programs


class TestPolicy:
    """STRONGROOM_CHILDREN."""

    NAMES = ("DB_PASSWORD", "API_KEY", "PLAIN", "LD_PRELOAD", "STRONGROOM_REGION")

    def seen(self, launcher: Launcher, policy: str, program: Path) -> bytes:
        """Return what a child of bash sees."""
        command: list[str | Path] = ["bash", "-c", '"$@"; exit $?', "bash", program, *self.NAMES]
        result = launcher.run(command, extra={"STRONGROOM_CHILDREN": policy})
        assert result.stderr == b""
        return result.stdout

    def assert_denied(self, output: bytes) -> None:
        """No secret, no region, no library; the rest is there."""
        assert output == b"DB_PASSWORD\nAPI_KEY\nPLAIN=plain\nLD_PRELOAD\nSTRONGROOM_REGION\n"

    def assert_allowed(self, output: bytes) -> None:
        """The secrets are there."""
        assert output.startswith(b"DB_PASSWORD=s3cret\nAPI_KEY=k-0123456789\nPLAIN=plain\nLD_PRELOAD=/")

    def test_inherit(self, launcher: Launcher, programs: Programs) -> None:
        self.assert_allowed(self.seen(launcher, "inherit", programs.build("print")))

    def test_deny(self, launcher: Launcher, programs: Programs) -> None:
        self.assert_denied(self.seen(launcher, "deny", programs.build("print")))

    @pytest.mark.parametrize("policy", ["allow:print", "allow:other,print", "allow:{path}", "allow:x,{path},y"])
    def test_allowed_program(self, launcher: Launcher, programs: Programs, policy: str) -> None:
        program = programs.build("print")
        self.assert_allowed(self.seen(launcher, policy.format(path=program), program))

    @pytest.mark.parametrize("policy", ["allow:prin", "allow:printx", "allow:rint", "allow:/bin/print", "allow:a,b"])
    def test_other_program(self, launcher: Launcher, programs: Programs, policy: str) -> None:
        self.assert_denied(self.seen(launcher, policy, programs.build("print")))

    @pytest.mark.parametrize(
        "policy",
        ["", "allow", "allow:", "allow:,", "allow:a,", "allow:,a", "allow:a,,b", "Deny", "deny ", "inherit,deny"],
    )
    def test_malformed_policy_ends_the_program(self, launcher: Launcher, programs: Programs, policy: str) -> None:
        result = launcher.run([programs.build("print")], extra={"STRONGROOM_CHILDREN": policy})
        assert (result.returncode, result.stdout) == (120, b"")
        assert result.stderr == b"strongroom: error: STRONGROOM_CHILDREN: not one of inherit, deny, allow:NAME,NAME\n"

    @pytest.mark.parametrize(("policy", "may_have"), [("inherit", True), ("deny", False), ("allow:sh", False)])
    def test_shell_inside_wordexp(self, launcher: Launcher, programs: Programs, policy: str, *, may_have: bool) -> None:
        # The libc starts it with the environment as it is: glibc for a command, musl for all words. What it starts
        # would have the secrets as well.
        words = ["$PLAIN", "$(echo $DB_PASSWORD)", "`echo $DB_PASSWORD`"]
        result = launcher.run(
            [programs.build("expand"), *words],
            secrets={"DB_PASSWORD": PASSWORD},  # no longer than execve carries
            extra={"STRONGROOM_CHILDREN": policy},
        )
        refused = ["plain" if programs.libc == "glibc" else "error 4", "error 4", "error 4"]
        expected = ["plain", "s3cret", "s3cret"] if may_have else refused
        assert (result.returncode, result.stdout.decode().splitlines(), result.stderr) == (0, expected, b"")

    def test_words_are_expanded_where_there_are_no_secrets(self, launcher: Launcher, programs: Programs) -> None:
        command: list[str | Path] = ["env", "-u", "DB_PASSWORD", programs.build("expand"), "$PLAIN", "$(echo a b)"]
        result = launcher.run(command, secrets={"DB_PASSWORD": PASSWORD}, extra={"STRONGROOM_CHILDREN": "allow:expand"})
        assert (result.returncode, result.stdout, result.stderr) == (0, b"plain\na\nb\n", b"")

    def test_other_preloaded_libraries_stay(self, launcher: Launcher, glibc_programs: Programs) -> None:
        other = glibc_programs.build_library("other_library")
        program = glibc_programs.build("print")
        for order in (f"{launcher.library}:{other}", f"{other} {launcher.library}", f"{other}::{launcher.library}"):
            result = launcher.run(
                ["bash", "-c", '"$@"; exit $?', "bash", program, "LD_PRELOAD"],
                extra={"STRONGROOM_CHILDREN": "deny", "LD_PRELOAD": order},
            )
            assert result.stdout == f"LD_PRELOAD={other}\n".encode()

    @pytest.mark.parametrize(
        "order", ["\t{ours}", "{ours}\n", "{ours}\v:a", "a\t{ours}", "a {ours}\ta", "{ours}a:\r{ours}"]
    )
    def test_library_that_one_loader_takes_for_part_of_another_name(
        self, launcher: Launcher, programs: Programs, order: str
    ) -> None:
        # To glibc only colons and spaces end a name. A helper's client may have added such a list to its environment.
        changed = f"LD_PRELOAD={order.format(ours=launcher.library)}"
        result = launcher.run(["env", changed, programs.build("print"), "DB_PASSWORD"])
        assert (result.returncode, result.stdout) == (0, b"DB_PASSWORD=s3cret\n"), result.stderr

    @pytest.mark.parametrize("filling", [0, 10, 4_000, 100_000])
    @pytest.mark.parametrize("call", ["execve", "posix_spawn", "vfork"])
    def test_environment_that_names_the_library_again_and_again(
        self, launcher: Launcher, programs: Programs, call: str, filling: int
    ) -> None:
        # Only the first of each counts; the room for it is never filled from another one.
        program = programs.build("start_with_duplicates")
        result = launcher.run([program, call, str(filling)], extra={"STRONGROOM_CHILDREN": "deny"})
        filled = b":" + b"A" * filling
        lines = [b"LD_PRELOAD=", b"STRONGROOM_CHILDREN=inherit" + filled, b"STRONGROOM_DUMPABLE=1" + filled]
        lines += [b"alive"] * (call != "execve")
        assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, lines, b"")

    @pytest.mark.parametrize("call", ["execve", "posix_spawn", "vfork"])
    def test_program_that_may_have_secrets_gets_one_of_each(
        self, launcher: Launcher, programs: Programs, call: str
    ) -> None:
        program = programs.build("start_with_duplicates")
        result = launcher.run([program, call, "30000"], extra={"STRONGROOM_CHILDREN": "allow:env"})
        lines = dict(line.partition(b"=")[::2] for line in result.stdout.splitlines())
        assert lines.keys() - {b"alive"} == {
            b"DB_PASSWORD",
            b"LD_PRELOAD",
            b"STRONGROOM_REGION",
            b"STRONGROOM_CHILDREN",
        }
        assert result.stdout.count(b"\n") == len(lines)
        assert (lines[b"DB_PASSWORD"], lines[b"STRONGROOM_CHILDREN"]) == (PASSWORD, b"allow:env")
        assert lines[b"LD_PRELOAD"] == launcher.library.encode()

    def test_policy_cannot_be_shed_on_the_way(self, launcher: Launcher, programs: Programs) -> None:
        script = 'unset STRONGROOM_CHILDREN; exec env STRONGROOM_CHILDREN=inherit bash -c "$1; exit 0"'
        command: list[str | Path] = ["bash", "-c", script, "bash", f"{programs.build('print')} DB_PASSWORD"]
        result = launcher.run(command, extra={"STRONGROOM_CHILDREN": "allow:env,bash"})
        assert result.stdout == b"DB_PASSWORD\n"
