"""Draw the pictures of README: `make pictures`. Each is an SVG file in docs/pictures/, without anything from elsewhere.

    python -m tools.pictures [speed|terminal]

The chart shows what `make bench` measured last. The terminal's picture is the display of a read of an embedded account that
keeps Stripe's limits, some seconds after it began.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import time
from collections.abc import Iterator
from html import escape
from itertools import takewhile
from pathlib import Path

from airbyte_cdk.models import ConfiguredAirbyteCatalog
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from integration_tests.embedded_stripe import StripeServer, made_up_account
from source_stripe.catalog import configured
from source_stripe.display import Display
from source_stripe.source import YieldingDeclarativeSource
from tools.bench import measured

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"

# The chart. A line of text is `_LINE` high; at a width of 360 the smallest letters are still 10 pixels high.
_WIDTH, _MARGIN, _LINE, _BAR = 480, 20, 20, 12
_STYLE = """\
    text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
    .title { font-weight: 600; font-size: 16px }
    .figure { text-anchor: end }
    .card { fill: #ffffff; stroke: #d0d7de }
    .rest { fill: #eaeef2 }
    .bar { fill: #8c959f }
    .own { fill: #635bff }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .card { fill: #161b22; stroke: #30363d }
      .rest { fill: #30363d }
      .bar { fill: #7d8590 }
      .own { fill: #8f88ff }
    }
"""

# The terminal.
_COLUMNS, _SHOWN_COLUMNS = 80, 66
"""Of the terminal, and those that are shown of it: these streams have short names."""
_STREAMS = ("charges", "customers", "disputes", "invoices", "payouts", "prices", "products", "refunds")
_MORE = {"charge": 60_000, "customer": 8_000, "refund": 30_000}
_COMMAND = "$ source-stripe read --config c.json --catalog a.json > m.jsonl"
_LATENCY, _LIMITS = 0.15, (100, 25)
_SECONDS_UNTIL_THE_MIDDLE = 8.0
_THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        (22, 27, 34),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (121, 192, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)
_FRAME = """\
<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg" role="img">
  <title>A first read, seconds after it began</title>
  <style>
    text {{ font: {char_height}px "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace }}
    {styles}
  </style>
  <defs><clipPath id="{unique_id}-clip-terminal"><rect width="{width}" height="{height}" /></clipPath>{lines}</defs>
  <rect fill="#161b22" width="{width}" height="{height}" rx="8" />
  <text x="{terminal_x}" y="27" fill="#7d8590" textLength="LENGTH">COMMAND</text>
  <g transform="translate({terminal_x}, {terminal_y})">
    {backgrounds}
    <g class="{unique_id}-matrix">{matrix}</g>
  </g>
</svg>
""".replace("COMMAND", escape(_COMMAND)).replace("LENGTH", f"{len(_COMMAND) * 12.2:.0f}")


# ---------------------------------------------------------------------- the chart


def speed() -> str:
    """CPU a record and the share of the limits, as `make bench` measured them last, in bars."""
    cpu = {name: float(cells[measured.COLUMNS["cpu"].index("µs")]) for name, cells in measured.rows("cpu").items()}
    used = measured.COLUMNS["paced"].index("used")
    shares = {name: int(cells[used].partition(" %")[0]) for name, cells in measured.rows("paced").items()}
    parts, y = list[str](), _MARGIN
    for title, bars in (
        ("CPU a record, in µs: less is better", [(name, f"{µs:,.1f}", µs / max(cpu.values())) for name, µs in cpu.items()]),
        (
            "Of the requests a second that Stripe allows",
            [(name, f"{share} %", share / 100) for name, share in shares.items()],
        ),
    ):
        y += _LINE
        parts.append(f'<text class="title" x="{_MARGIN}" y="{y - 4}">{title}</text>')
        for name, figure, length in bars:
            y += _LINE + 8
            is_own = name not in cpu or name == "this connector"
            parts += _bar(name, figure, length, y, "own" if is_own else "bar")
            y += _BAR
        y += _MARGIN
    card = f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{y - 1}" rx="8" />'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" role="img">'
    lines = [head, "  <title>What reading costs, and how much of Stripe's limits it uses</title>"]
    return "\n".join([*lines, f"  <style>\n{_STYLE}  </style>", f"  {card}", *(f"  {part}" for part in parts), "</svg>"]) + "\n"


def _bar(name: str, figure: str, length: float, y: int, kind: str) -> Iterator[str]:
    """A bar with its name and its figure above it; `length` is from 0 to 1."""
    whole = _WIDTH - 2 * _MARGIN
    yield f'<text x="{_MARGIN}" y="{y - 4}">{escape(name)}</text>'
    yield f'<text class="figure" x="{_WIDTH - _MARGIN}" y="{y - 4}">{figure}</text>'
    yield f'<rect class="rest" x="{_MARGIN}" y="{y}" width="{whole}" height="{_BAR}" rx="3" />'
    yield f'<rect class="{kind}" x="{_MARGIN}" y="{y}" width="{max(2, round(whole * length))}" height="{_BAR}" rx="3" />'


# ---------------------------------------------------------------------- the terminal


def terminal() -> str:
    """The display of a read that is under way."""
    logging.getLogger("airbyte").setLevel(logging.ERROR)
    account = made_up_account()
    for kind, count in _MORE.items():
        account.bulk(kind, count, spread="crowded")
    console = Console(record=True, width=_SHOWN_COLUMNS, height=40, file=io.StringIO(), force_terminal=True, highlight=False)
    with StripeServer(account, latency=_LATENCY) as server:
        server.limit(*_LIMITS)
        config = {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": _LIMITS[0]}
        source = YieldingDeclarativeSource()
        offered = {stream.name: stream for stream in source.offered()}
        catalog = ConfiguredAirbyteCatalog([configured(offered[name]) for name in _STREAMS])
        display = Display(Console(file=io.StringIO(), width=_COLUMNS), is_live=False)
        end = time.monotonic() + _SECONDS_UNTIL_THE_MIDDLE
        for item in takewhile(lambda _: time.monotonic() < end, source.read_pages(config, catalog, watched=True)):
            display.see(item)
        console.print(display.picture())
    drawn = console.export_svg(theme=_THEME, code_format=_FRAME, unique_id="read")
    return re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE)


def main() -> None:
    pictures = {"speed": speed, "terminal": terminal}
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description="Draw the pictures of README.")
    parser.add_argument("picture", nargs="*", choices=[*pictures, []], help="without one, all")
    FOLDER.mkdir(exist_ok=True)
    for name in parser.parse_args().picture or pictures:
        (FOLDER / f"{name}.svg").write_text(pictures[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
