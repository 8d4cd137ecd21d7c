"""The report, in a real browser: charts are drawn in both colour schemes, nothing is wider than a phone."""

import re
import struct
import subprocess
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.chart import show
from bench.plots import plots
from bench.report import page, write_report
from bench.result import Claim, Result, history_line, parse_result
from bench.samples import Estimate
from tests.bench.runs import count, result
from tests.support.tree import ROOT

BASELINE = ROOT / "bench" / "baselines" / "quick.json"
OURS = {"light": (0x0B, 0x6B, 0xCB), "dark": (0x5A, 0xA9, 0xFF)}  # --c0 of report.css
FILES = {"figures.csv", "samples.csv", "claims.csv", "result.json", "metrics.prom", "history.jsonl"}
CONSOLE = re.compile(r":(?:CONSOLE|INFO:CONSOLE)")


@pytest.fixture(scope="module")
def measured() -> Result:
    return parse_result(BASELINE.read_text(), str(BASELINE))


@pytest.fixture(scope="module")
def report(measured: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    history = "".join(history_line(replace(measured, started=f"2026-01-0{day}T00:00:00+00:00")) for day in range(1, 4))
    return write_report(measured, tmp_path_factory.mktemp("report"), history)


def chromium(profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    base = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
    ]
    return subprocess.run(
        [*base, f"--user-data-dir={profile}", *options], capture_output=True, text=True, timeout=100, check=True
    )


def pixels(png: bytes) -> set[tuple[int, int, int]]:
    """Return the colours of a picture (PNG, 8 bits, RGB or RGBA: ISO/IEC 15948)."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    size = {2: 3, 6: 4}[kind]
    assert depth == 8
    data, place = b"", 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        data += png[place + 8 : place + 8 + length] if name == b"IDAT" else b""
        place += length + 12
    raw, stride, above, found = zlib.decompress(data), width * size, bytes(width * size), set()
    for row in range(height):
        begin = row * (stride + 1)
        line = bytearray(raw[begin + 1 : begin + 1 + stride])
        for i in range(stride):
            left, up = line[i - size] if i >= size else 0, above[i]
            corner = above[i - size] if i >= size else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda one: abs(guess - one))
            line[i] = line[i] + (0, left, up, (left + up) // 2, paeth)[raw[begin]] & 0xFF
        found |= set(zip(line[0::size], line[1::size], line[2::size], strict=True))
        above = bytes(line)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_in_both_colour_schemes_without_a_word_on_the_console(
    report: Path, tmp_path: Path, scheme: str
) -> None:
    picture = tmp_path / "page.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []

    size = ["--window-size=700,3000", "--force-device-scale-factor=0.5"]
    done = chromium(tmp_path, *dark, *size, f"--screenshot={picture}", report.as_uri())

    assert not CONSOLE.search(done.stderr), done.stderr
    colours = pixels(picture.read_bytes())
    other = "dark" if scheme == "light" else "light"
    assert OURS[scheme] in colours
    assert OURS[other] not in colours


def test_nothing_is_wider_than_a_phone(report: Path, tmp_path: Path) -> None:
    frame = report.with_name("frame.html")
    frame.write_text(
        '<iframe src="report.html" width="360" height="700" onload="document.title = '
        "'wide ' + this.contentDocument.documentElement.scrollWidth\"></iframe>"
    )

    done = chromium(
        tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()
    )

    (width,) = re.findall(r"<title>wide (\d+)</title>", done.stdout)
    assert 300 < int(width) <= 360


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.found += [str(values[name]) for name in ("href", "src") if name in values]
        self.ids |= {str(values["id"])} if "id" in values else set()


def test_the_page_stands_alone_and_its_links_lead_somewhere(measured: Result) -> None:
    links = _Links()
    links.feed(page(measured, ""))

    assert "script" not in links.tags
    for link in links.found:
        assert link in {*FILES, "data:,"} or (link.startswith("#") and link[1:] in links.ids), link


def test_every_chart_has_its_raw_data_and_how_to_reproduce_it(measured: Result) -> None:
    drawn = plots(measured)
    text = page(measured, "")

    assert {plot.suite for plot in drawn} == {"pod-start", "getenv", "per-object", "bridge", "scale"}
    assert len({plot.key for plot in drawn}) == len(drawn)
    for plot in drawn:
        figure = text.partition(f'<figure id="{plot.key}">')[2].partition("</figure>")[0]
        assert f'<a href="{plot.raw}">' in figure
        assert f"strongroom bench run --quick {plot.suite}<" in figure


def test_the_raw_data_of_a_chart_of_claims_holds_them(measured: Result) -> None:
    by_key = {plot.key: plot for plot in plots(measured)}

    assert by_key["getenv-instructions"].raw == "claims.csv"
    assert "getenv/hit/40 variables/strongroom on glibc," in measured.claims_csv()


def test_a_full_run_is_reproduced_by_a_full_run(measured: Result) -> None:
    assert "strongroom bench run --quick" not in page(replace(measured, quick=False), "").partition("<figure")[2]


def test_names_cannot_break_out_of_the_page() -> None:
    made = result(count("made-up/<script>alert(1)</script>", 1))
    made.notes.append("<script>")

    assert "<script" not in page(made, "")


def test_earlier_runs_are_shown_beside_this_one_with_their_commits(measured: Result) -> None:
    earlier = replace(measured, commit="abc1234" + "0" * 33, started="2026-01-01T00:00:00+00:00")

    text = page(measured, history_line(earlier))

    assert 'class="spark"' in text
    assert "from abc1234 of 2026-01-01 to" in text
    assert 'class="spark"' not in page(measured, "")


@pytest.mark.parametrize(
    "other", [{}, {"quick": False, "started": "2026-01-01T00:00:00+00:00"}, {"started": "2099-01-01T00:00:00+00:00"}]
)
def test_the_history_has_each_run_once_and_no_runs_of_the_other_kind_or_later_ones(
    measured: Result, other: dict[str, Any]
) -> None:
    text = page(measured, history_line(replace(measured, **other)))

    assert "History over 1 quick runs" in text


@pytest.mark.parametrize(
    ("value", "interval", "words"),
    [
        (0.8, (0.7, 0.9), ["met</td>", "20% below", "0.7 x … 0.9 x"]),
        (1.2, (1.1, 1.3), ["missed</td>", "20% above"]),
        (1.2, (0.9, 1.3), ["missed<br>", "undecided"]),
        (1.2, (None, None), ["missed</td>", "too few rounds"]),
    ],
)
def test_aims_say_by_how_much_they_are_met_and_when_that_is_undecided(
    value: float, interval: tuple[float | None, float | None], words: list[str]
) -> None:
    claim = Claim(name="made-up/a:b", value=Estimate(value, *interval, 3), unit="ratio", better="lower", aim=1.0)

    row = page(result(claim), "").partition("made-up / a:b")[2].partition("</tr>")[0]

    assert [word for word in words if word not in row] == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0428, "s", "42.8 ms"),
        (2.137, "s", "2.14 s"),
        (2.5e-8, "s", "25 ns"),
        (0.00099999, "s", "1 ms"),
        (262_144_000, "B", "250 MiB"),
        (1.12345e9, "B/s", "1.12 GB/s"),
        (1200, "1/s", "1.2k /s"),
        (0.418, "ratio", "0.418 x"),
        (1224, "instructions", "1,224 instructions"),
        (0.0, "calls", "0 calls"),
    ],
)
def test_figures_are_shown_with_three_digits(value: float, unit: str, text: str) -> None:
    assert show(value, unit) == text
