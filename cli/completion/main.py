"""``strongroom completion SHELL``: the script that has a shell complete the command."""

import sys

from cli.completion.candidates import offer
from cli.completion.scripts import SCRIPTS

_CANDIDATES = "candidates"

HELP = f"""\
usage: strongroom completion {"|".join(SCRIPTS)}

Print a script that has a shell complete verbs, options and values at a Tab. It asks this command each time, so it fits
any later version, too.

  bash  strongroom completion bash >/etc/bash_completion.d/strongroom
  zsh   strongroom completion zsh >DIR/_strongroom, in a DIR of $fpath
  fish  strongroom completion fish >~/.config/fish/completions/strongroom.fish

or for one session: . <(strongroom completion bash); in fish: strongroom completion fish | source
"""


def main(arguments: list[str]) -> int:
    """Run the verb and return its exit status: 2 when the shell is none of these.

    Args:
        arguments: what follows ``strongroom completion``.
    """
    if arguments[:1] in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if arguments[:1] == [_CANDIDATES]:
        sys.stdout.write(offer(arguments[1:] or [""]).render())
        return 0
    script = SCRIPTS.get(arguments[0]) if len(arguments) == 1 else None
    if script is None:
        sys.stderr.write(f"strongroom: error: {' '.join(arguments) or 'completion'}: must name one shell\n")
        sys.stderr.write(f"strongroom: hint: strongroom completion {'|'.join(SCRIPTS)}\n")
        return 2
    sys.stdout.write(script)
    return 0
