"""The page of exit statuses."""

from collections.abc import Sequence

from cli.statuses import ANY, ENDINGS, LAUNCH, Ending
from scripts.reference.markdown import page, section, sentence, table


def statuses_page() -> str:
    """Return the page."""
    verbs: dict[tuple[Ending, ...], list[str]] = {}
    for verb, endings in ENDINGS.items():
        if endings != LAUNCH:
            verbs.setdefault(endings, []).append(verb)
    return page(
        "Exit statuses",
        """
The lines on stderr, `strongroom: error: ...` and `strongroom: hint: ...`, say what is wrong and what to do next; the
exit status tells a script which kind it is.
""",
        section(
            "strongroom run and exec",
            "The status of the command, where it was started. Else:",
            _endings(LAUNCH),
            "128 and the number of a signal: it arrived before the command was started.",
        ),
        *(
            section(
                " and ".join(f"strongroom {verb}" for verb in names),
                _endings([ending for ending in endings if ending not in LAUNCH]),
                "Else as `strongroom run`." if set(LAUNCH) <= set(endings) else "",
            )
            for endings, names in verbs.items()
        ),
        section("Any verb", _endings(ANY)),
    )


def _endings(endings: Sequence[Ending]) -> str:
    rows = ((str(one.status), sentence(one.meaning), sentence(one.cure)) for one in endings)
    return table(("status", "meaning", "what to do"), rows)
