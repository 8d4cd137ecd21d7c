"""What is raised of a store whose answers cannot be used."""

from strongroom.errors import PeerError


class OddAnswerError(PeerError):
    """The store answers what S3 does not: something is missing, or contradicts what was asked for."""

    usual_hint = (
        "the store, or what is between it and the proxy, speaks S3 otherwise: compare its version, then report it"
    )
