"""What stops a suite."""

from strongroom.errors import PeerError


class FailedError(PeerError):
    """A program or server under measurement failed, so that its figures would mean nothing."""

    usual_hint = "nothing was recorded of it; see that it runs by itself here (make demo), then measure again"
