"""How records are laid out: as a table where all of it has room, else one below the other.

Nothing of a record is ever cut, whatever the width; what a machine wrote cannot steer a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GAP = 2
_PROSE_WIDTH = 16  # what text that goes on in the next line needs, to be read


@dataclass(frozen=True, kw_only=True)
class FromWidth:
    """Shows `wide` where there are `least` columns, else `narrow`."""

    least: int
    wide: RenderableType
    narrow: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.wide if options.max_width >= self.least else self.narrow


class Records:
    """Some records of the same members; the first of them names the record.

    A header that begins with `>` is of a right-aligned column, one with `~` of prose, which may go
    on in the next line.
    """

    def __init__(self, *headers: str) -> None:
        self._headers = [header.lstrip(">~") for header in headers]
        self._right = [header.startswith(">") for header in headers]
        self._prose = [header.startswith("~") for header in headers]
        self._rows: list[tuple[list[Text], str]] = []

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a record: its name, of which lines may follow, and a value for each header."""
        self._rows.append(([_text(cell) for cell in cells], style))

    @property
    def width(self) -> int:
        """The columns that a table needs to show all of it."""
        cells = [
            [Text(header), *(row[n] for row, _ in self._rows)]
            for n, header in enumerate(self._headers)
        ]
        needs = [_need(column, prose=self._prose[n]) for n, column in enumerate(cells)]
        return sum(needs) + GAP * (len(needs) - 1)

    def lines_each(self, width: int) -> int:
        """Return how many lines a record takes at most at this width, when no line goes on."""
        return 1 if self.width <= width else 1 + len(self._headers)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.width <= options.max_width:
            yield self._table()
        else:
            yield from self._one_below_the_other()

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
        for header, right, prose in zip(self._headers, self._right, self._prose, strict=True):
            table.add_column(
                header, justify="right" if right else "left", no_wrap=not prose, overflow="fold"
            )
        for row, style in self._rows:
            table.add_row(*row, style=style or None)
        return table

    def _one_below_the_other(self) -> Iterator[RenderableType]:
        for number, ((name, *values), style) in enumerate(self._rows):
            if number:
                yield Text()
            yield _folded(name, style)
            for header, value in zip(self._headers[1:], values, strict=True):
                if value.plain:
                    yield indented(_folded(Text.assemble((f"{header}: ", "dim"), value), style))


def indented(text: Text) -> Padding:
    """Return text whose every line stands a little to the right."""
    return Padding(text, (0, 0, 0, GAP), expand=False)


def _text(cell: str | Text) -> Text:
    """Return a cell as it may be shown: markup is not read, and no character steers."""
    if isinstance(cell, Text):
        return cell
    return Text("".join(c for c in cell if c.isprintable() or c == "\n"))


def _folded(text: Text, style: str) -> Text:
    shown = text.copy()
    shown.overflow, shown.no_wrap = "fold", False
    if style:
        shown.stylize_before(style)
    return shown


def _need(column: Sequence[Text], *, prose: bool) -> int:
    lines = [line for cell in column for line in cell.plain.split("\n")]
    whole = max(map(cell_len, lines))
    if not prose:
        return whole
    longest_word = max((cell_len(word) for line in lines for word in line.split()), default=0)
    return max(longest_word, min(whole, _PROSE_WIDTH))
