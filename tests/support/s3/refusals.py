"""How the S3 API refuses, as a boto3 client shows it."""

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError


def refusal_of(call: Callable[..., object], **parameters: object) -> str:
    """Return the error code by which a call is refused; fails where it is not."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])
