"""How readers of sealed objects refuse."""

from typing import NoReturn

from strongroom.errors import IntegrityError


class RefusedError(IntegrityError):
    """Stored bytes break a rule of ``docs/object-format.md``, section "What a reader must refuse".

    Args:
        rule: the number of the rule.
        detail: what breaks it, in a few words, without any byte of plaintext.
    """

    usual_hint = (
        "find out who can write to the bucket besides the proxy, and restore the object from a backup; keep what is "
        "there until that is done"
    )

    def __init__(self, rule: int, detail: str) -> None:
        """Keep the number beside the message: it is what metrics and audit records count by."""
        super().__init__(f"damaged or foreign object: rule {rule}: {detail}")
        self.rule = rule


def refuse(rule: int, detail: str) -> NoReturn:
    """Raise the refusal.

    Raises:
        RefusedError: always.
    """
    raise RefusedError(rule, detail)
