"""What is kept, and what is forgotten."""

from strongroom.service.lru import Lru


def test_what_was_not_used_for_the_longest_time_is_forgotten() -> None:
    lru = Lru[str, int](3)
    for number, key in enumerate("abc"):
        lru.keep(key, number)
    assert lru.get("a") == 0
    lru.keep("d", 3)
    assert [key in lru for key in "abcd"] == [True, False, True, True]
    assert lru.get("b") is None


def test_weights_add_up_and_are_given_back() -> None:
    lru = Lru[str, str](10)
    lru.keep("a", "first", weight=6)
    lru.keep("a", "second", weight=4)
    lru.keep("b", "", weight=6)
    assert lru.get("a") == "second"
    lru.drop("b")
    lru.drop("b")
    lru.keep("c", "", weight=6)
    assert [key in lru for key in "ac"] == [True, True]
    lru.keep("heavy", "", weight=11)
    assert [key in lru for key in ("a", "c", "heavy")] == [False, False, False]
