"""What is kept, and what is forgotten."""

from s3proxy.recent import Recent


def test_what_was_not_used_for_the_longest_time_is_forgotten() -> None:
    recent = Recent[str, int](3)
    for number, key in enumerate("abc"):
        recent.keep(key, number)
    assert recent.get("a") == 0
    recent.keep("d", 3)
    assert [key in recent for key in "abcd"] == [True, False, True, True]
    assert recent.get("b") is None


def test_weights_add_up_and_are_given_back() -> None:
    recent = Recent[str, str](10)
    recent.keep("a", "first", weight=6)
    recent.keep("a", "second", weight=4)
    recent.keep("b", "", weight=6)
    assert recent.get("a") == "second"
    recent.drop("b")
    recent.drop("b")
    recent.keep("c", "", weight=6)
    assert [key in recent for key in "ac"] == [True, True]
    recent.keep("heavy", "", weight=11)
    assert [key in recent for key in ("a", "c", "heavy")] == [False, False, False]
