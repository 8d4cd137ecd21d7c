"""The smallest component, as docs/architecture.md shows it: what every server does, on a real port."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

END_S = 60


class Hello:
    """The component, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        page = (ROOT / "docs" / "architecture.md").read_text()
        (program,) = re.findall(r"## The smallest component\n.*?```python\n(.*?)```", page, re.DOTALL)
        self.word = directory / "word"
        self.word.write_text("Hello\n")
        self._log = directory / "log"
        read, write = os.pipe()
        settings = {
            "word_file": self.word,
            "listen": "127.0.0.1:0",
            "health_listen": "127.0.0.1:0",
            "reload_interval_s": 0.01,
            "ready_fd": write,
        }
        environ = {f"STRONGROOM_HELLO_{name.upper()}": str(value) for name, value in settings.items()}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], cwd=ROOT, env=os.environ | environ, stderr=log, pass_fds=[write]
            )
        os.close(write)
        with os.fdopen(read, "rb") as ready:
            self.addresses = json.loads(ready.read())

    def events(self, name: str) -> list[dict[str, object]]:
        events = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [event for event in events if event["event"] == name]

    def connect(self, port: str = "http") -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.addresses[port], timeout=END_S)

    def ask(self, method: str, path: str, body: bytes = b"", *, port: str = "http") -> tuple[int, bytes]:
        with contextlib.closing(self.connect(port)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def greeting(self) -> bytes:
        return self.ask("POST", "/", b"world")[1]

    def readiness(self) -> dict[str, dict[str, object]]:
        document: dict[str, dict[str, object]] = json.loads(self.ask("GET", "/readyz", port="health")[1])
        return document


@pytest.fixture
def hello(tmp_path: Path) -> Iterator[Hello]:
    running = Hello(tmp_path)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def test_it_serves_and_tells_its_health_on_a_port_of_its_own(hello: Hello) -> None:
    assert hello.ask("POST", "/", b"world") == (200, b"Hello, world")
    assert hello.ask("GET", "/healthz", port="health") == (200, b'{"ok": true}')
    assert hello.readiness() == {"ready": True, "word": {"ok": True, "detail": ""}}
    (event,) = hello.events("listening")
    assert (event["http"], event["health"]) == (hello.addresses["http"], hello.addresses["health"])


def test_an_edit_is_followed_and_a_file_that_cannot_be_read_keeps_the_old_value_and_is_told(hello: Hello) -> None:
    hello.word.write_text("Goodbye")
    wait_for(lambda: hello.greeting() == b"Goodbye, world", "the new word")
    hello.word.unlink()
    wait_for(lambda: hello.events("word_reload_failed"), "the missing file to be noticed")
    assert hello.greeting() == b"Goodbye, world"
    wait_for(lambda: "cannot be read" in str(hello.readiness()["word"]["detail"]), "readiness to tell")
    hello.word.write_text("Back")
    wait_for(lambda: hello.greeting() == b"Back, world", "the file to be read again")
    assert len(hello.events("word_reload_failed")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_its_end_it_accepts_no_more_and_finishes_what_is_in_flight(hello: Hello, number: signal.Signals) -> None:
    with contextlib.closing(hello.connect()) as begun:
        begun.putrequest("POST", "/")
        begun.putheader("Content-Length", "5")
        begun.endheaders(b"wor")
        assert hello.greeting() == b"Hello, world"  # so the other request has arrived, too
        hello.process.send_signal(number)
        wait_for(lambda: hello.events("draining"), "the end to begin")
        with pytest.raises(ConnectionRefusedError):
            hello.ask("POST", "/")
        assert hello.ask("GET", "/readyz", port="health")[0] == 503
        hello.process.send_signal(signal.SIGHUP)  # comes too late, and ends nothing
        begun.send(b"ld")
        answer = begun.getresponse()
        assert (answer.status, answer.getheader("Connection"), answer.read()) == (200, "close", b"Hello, world")
    assert hello.process.wait(END_S) == 0
    assert hello.events("stopped")
    assert not hello.events("drain_incomplete")


def test_a_missing_file_stops_the_start_with_a_line(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (program,) = re.findall(r"## The smallest component\n.*?```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program, "--word-file", f"{tmp_path}/none"],
        cwd=ROOT, capture_output=True, text=True, timeout=END_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"strongroom: error: {tmp_path}/none: cannot be read" in done.stderr
    assert "strongroom: hint: " in done.stderr
