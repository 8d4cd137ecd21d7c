"""How a program of an SDK is told what to do: one JSON object a line on stdin, one a line on stdout."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Do = Callable[..., Any]


def serve(operations: Mapping[str, Do]) -> None:
    """Carry out lines such as ``{"do": "put", "key": "k", "file": "/f"}`` until there are no more."""
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            answer = {"answer": operations[arguments.pop("do")](**arguments)}
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises is an observation of the test
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
