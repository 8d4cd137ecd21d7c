"""Anyone who follows docs/recovery.md: does what its blocks say, and sees what stands under them."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.install.page import Step, steps_of
from tests.support.tree import ROOT

PAGE = ROOT / "docs/recovery.md"
COMMANDS = "The commands on this page"
PROGRAMS = str(Path(sys.executable).parent)
PATIENCE_S = 90.0  # the keys of policies are tried every 30 s
STEP_S = 120.0
# What only looks is repeated until it shows what the page says; everything else is done once.
_LOOKS = re.compile(
    r"curl |journalctl |launch; |tail |echo probe \| client s3 cp |client s3api get-object |"
    r"strongroom s3 (verify|rewrap; echo|rewrap --dry-run)|bao (read|list|status|kv get)"
)
_JOURNAL = '#!/bin/sh\n# called as: journalctl -o cat -u UNIT\ncase "$4" in\n{cases}esac\n'


class Reader:
    """Works on a stand, at which the page's names lead to what is there."""

    def __init__(
        self,
        programs: Path,
        *,
        environ: Mapping[str, str],
        places: Callable[[], Mapping[str, str]],
        logs: Mapping[str, Path],
        restart: Callable[[], None] = lambda: None,
    ) -> None:
        """Make what stands in for systemd.

        Args:
            programs: directory for it.
            environ: variables that are set beforehand.
            places: what is on this machine, by the names of the page.
            logs: by unit.
            restart: what ``systemctl restart`` at the end of a block comes to.
        """
        self._environ = {"PATH": f"{programs}:{PROGRAMS}:/usr/bin:/bin", "HOME": str(programs), **environ}
        self._places = places
        self._restart = restart
        self._asked = programs / "asked"
        self._steps = steps_of(PAGE.read_text())
        programs.mkdir()
        cases = "".join(f"  {unit}) cat '{log}';;\n" for unit, log in logs.items())
        for name, script in {
            "journalctl": _JOURNAL.format(cases=cases),
            "systemctl": f"#!/bin/sh\necho \"$@\" >>'{self._asked}'\n",
        }.items():
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)

    def follow(self, section: str) -> None:
        """Take the steps of a section in their order.

        Raises:
            AssertionError: a command failed, or something else was to be seen than the page says.
        """
        steps = [step for step in self._steps if step.section == section]
        assert steps, section
        for step in steps:
            self._take(step)

    def _take(self, step: Step) -> None:
        looks = all(_LOOKS.match(line) for line in step.commands.splitlines())
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, output = self._run(step.commands, stop_at_failure=not looks)
            unseen = step.unseen(output)
            if not unseen and (looks or status == 0):
                break
            told = f"{step.section}: status {status}, not seen: {unseen}\n{step.commands}\n{output}"
            assert looks, told
            assert time.monotonic() < deadline, told
            time.sleep(0.5)
        if self._asked.exists():
            assert step.commands.splitlines()[-1].startswith("systemctl restart ")
            self._asked.unlink()
            self._restart()

    def _run(self, commands: str, *, stop_at_failure: bool) -> tuple[int, str]:
        (script,) = (step.commands for step in self._steps if step.section == COMMANDS)
        script += ("set -e -o pipefail\n" if stop_at_failure else "") + commands
        for name, place in self._places().items():
            script = script.replace(name, place)
        result = subprocess.run(
            ["bash", "-c", script],
            env=self._environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        return result.returncode, result.stdout
