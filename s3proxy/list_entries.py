"""What a listing shows of one object, turned into what a client would see of it: size and ETag of the plaintext. Pure.

A listing knows size and ETag of what is stored, and that is enough for sealed objects ("Sizes" in
``docs/object-format.md``). Where plaintext stands among them nothing in a listing tells the two apart; then, and for
exact ETags, the caller has looked and gives what it saw.
"""

from dataclasses import dataclass
from typing import Final

from s3proxy.front.xml_read import Element
from s3proxy.front.xml_write import Node, node
from s3proxy.known_digests import listed_etag
from s3proxy.policies import Mode, Policy
from strongroom.sealed.sizes import listed_plaintext_bytes

ENTRY_NAMES: Final = frozenset({"Contents", "Version"})
_OF_CIPHERTEXT: Final = frozenset({"ChecksumAlgorithm", "ChecksumType"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at an object told.

    Attributes:
        is_sealed: whether it has an entry.
        etag: that clients see, with quotes.
    """

    is_sealed: bool
    etag: str


def shown_entry(entry: Element, policy: Policy | None, seen: Seen | None) -> Node:
    """Return an entry of a listing as the client gets it.

    Args:
        entry: ``Contents`` or ``Version``, as the store wrote it.
        policy: that the name is under; None when none fits, so that nothing of it was sealed here.
        seen: the object itself, if it was looked at.
    """
    size, etag = (entry.get("Size") or "").strip(), entry.get("ETag") or ""
    sealed_here = policy is not None and policy.mode is not Mode.PASSTHROUGH
    plain_bytes = listed_plaintext_bytes(int(size), etag) if size.isascii() and size.isdigit() else None
    if policy is None or not sealed_here or plain_bytes is None or (seen is not None and not seen.is_sealed):
        return as_node(entry)
    replaced = {"Size": str(plain_bytes), "ETag": seen.etag if seen else listed_etag(policy, etag)}
    return node(
        entry.name,
        *(
            node(child.name, replaced[child.name]) if child.name in replaced else as_node(child)
            for child in entry.children
            if child.name not in _OF_CIPHERTEXT
        ),
    )


def as_node(element: Element) -> Node:
    """Return an element that is written as it was read."""
    if element.children:  # what stands between them is layout
        return node(element.name, *(as_node(child) for child in element.children))
    return node(element.name, element.text)
