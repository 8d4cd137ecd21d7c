"""Runs a program of ours and counts its calls, in Python and into C. It is run as a script, and never imported.

``python [-IS] bench/counted.py FILE SCRIPT [WORD...]``, or ``-m MODULE`` in place of SCRIPT for one below the working
directory. A line with the number of calls since the start goes to FILE at each SIGUSR1, and just before this process
becomes another program, as a launch ends. Imports nothing that an interpreter does not have: a launch is to import what
it imports by itself.
"""

import sys


def _run(file: str, program: str, words: list[str]) -> None:
    calls = 0
    is_over = False

    def count(_frame: object, event: str, _about: object) -> None:
        nonlocal calls
        if event in {"call", "c_call"}:
            calls += 1

    def note(*_: object) -> None:
        with open(file, "a") as noted:  # noqa: PTH123 - pathlib would be imported for it
            noted.write(f"{calls}\n")

    def note_at_exec(event: str, _about: object) -> None:
        nonlocal is_over
        if event == "os.exec" and not is_over:
            is_over = True
            sys.setprofile(None)
            note()

    sys.addaudithook(note_at_exec)
    if program == "-m":
        import os  # noqa: PLC0415 - see above
        import runpy  # noqa: PLC0415
        import signal  # noqa: PLC0415

        signal.signal(signal.SIGUSR1, note)
        sys.path[0] = os.getcwd()  # noqa: PTH109
        sys.argv = words
        sys.setprofile(count)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return
    with open(program) as script:  # noqa: PTH123
        code = compile(script.read(), program, "exec")
    sys.argv = [program, *words]
    sys.setprofile(count)
    exec(code, {"__name__": "__main__", "__file__": program})  # noqa: S102 - as the interpreter runs a script


_run(sys.argv[1], sys.argv[2], sys.argv[3:])
