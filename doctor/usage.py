"""The help text of ``strongroom doctor``."""

HELP = """\
usage: strongroom doctor [-o json] [OPTIONS]
       strongroom doctor --attack PID [-o json] [OPTIONS]
       strongroom doctor --attack [-o json] [OPTIONS] -- COMMAND [ARG...]

Without --attack: try out what `strongroom run` needs on this machine, and say which protection each kind of program
would get. Nothing is inferred from version numbers, nothing is changed, and no secret is read.

With --attack: carry out every attack that docs/threat-model.md speaks about, on a running program or on COMMAND,
started for this like with `strongroom run` and ended afterwards. Each is tried as root, if this is root, and as the
program's own user. A program that is attacked keeps running; it stands still for some milliseconds, or, while gdb
looks at it, for a second. PID 1 and the processes that started this one are never attacked.

References in the environment tell which values to look for; they are fetched into secret memory, and there is an audit
record for it. Without references root learns the values from the program itself, if it can.

Options:
  -o json         print JSON
  --attack [PID]  attack a running process, or the command after --
  the options of `strongroom run`, and its STRONGROOM_* variables; --require is the floor that is judged by

Exit status: 0 when everything is there, or every attack was stopped that is claimed to be; 1 when not; else
  111  an option or setting is wrong, or there is no such process
  112 and up, as for `strongroom run`: COMMAND, or what it refers to, cannot be had
"""
