"""What a run would cost on each machine that could be had: the choice, its arithmetic, a table.

Pure; market.py asks io.net. The table fits 80 columns.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from components.ionet import cost, offers
from components.ionet.errors import IonetError, NoOfferError
from components.ionet.models import Hardware
from components.ionet.offers import MAX_LISTED, Offer, Wish

WIDTH: Final = 80
NOT_QUOTED: Final = "no price quoted"
ABOVE_THE_CAP: Final = "above maxCostUsd"
ABOVE_THE_HOURS_CAP: Final = "above maxUsdPerGpuHour"
_FOUR_PLACES: Final = Decimal("0.0001")
_HEADS: Final = ("place", "free", "$/h", "hours", "fees", "expected", "worst")
_WIDTHS: Final = (5, 4, 8, 5, 6, 9, 9)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row of the catalogue at a place; `why_not` is "" where it can be had within the caps.

    `offer` is there where it was quoted. `fees_usd` is None where they are not told.
    """

    row: Hardware
    wish: Wish
    place: str = ""
    available: int | None = None  # containers, or whole nodes
    offer: Offer | None = None
    fees_usd: Decimal | None = None
    why_not: str = ""

    @property
    def hours(self) -> int:
        """How many hours are bought there."""
        return self.wish.hours_on(offers.gpu_of(self.row))

    @property
    def needed_hours(self) -> float:
        """How long the run takes there; 0 where that is not known."""
        return offers.hours_needed(offers.gpu_of(self.row), self.wish)

    @property
    def run_usd(self) -> Decimal:
        """What the run costs there, by which offers are ranked; 0 where it was not quoted.

        Where the hours follow from the run they are paid whole. A number of them is bought wherever
        it is: then what the run uses of it counts, as a slower machine would else seem as good.
        """
        if self.offer is None:
            return Decimal(0)
        if not self.wish.hours:
            return self.offer.total_usd
        longer = self.wish.times_as_long(offers.gpu_of(self.row))
        return self.offer.total_usd * Decimal(str(longer))

    @property
    def is_above_the_cap(self) -> bool:
        """Whether its bill alone stands against it."""
        return self.why_not == ABOVE_THE_CAP

    @property
    def name(self) -> str:
        """The machine as people read it."""
        gpu = offers.gpu_of(self.row)
        name = self.row.name or str(self.row.hardware_id)
        unsaid = gpu.form if gpu.form and gpu.form.upper() not in name.upper() else ""
        one = f"{name} {unsaid}".rstrip()
        return one if self.wish.gpus == 1 else f"{self.wish.gpus} x {one}"


@dataclass(frozen=True, kw_only=True)
class Quote:
    """All candidates for a wish: those that can be had first, by what the run costs there."""

    wish: Wish
    candidates: tuple[Candidate, ...]
    cap_usd: Decimal
    spent_usd: Decimal
    none: NoOfferError | None = None  # why there is no candidate that could be asked for

    @property
    def chosen(self) -> Candidate | None:
        """The one that would be rented."""
        return next((one for one in self.candidates if not one.why_not), None)

    def worst_usd(self, one: Candidate) -> Decimal:
        """Return what the run may cost there: its machine lost in the last hour, and once anew.

        Never more than what its cap leaves, above which nothing is bought.
        """
        total = one.offer.total_usd if one.offer else Decimal(0)
        return max(min(2 * total, self.cap_usd - self.spent_usd), Decimal(0))

    def refusal(self) -> IonetError:
        """Return why none is chosen, with what would help."""
        quoted = [one.offer for one in self.candidates if one.offer and one.is_above_the_cap]
        if not quoted:
            return self.none or _not_bought(self)
        return _too_dear(self, min(quoted, key=lambda offer: offer.total_usd))


def of(
    wish: Wish,
    candidates: list[Candidate],
    *,
    cap_usd: Decimal,
    spent_usd: Decimal,
    none: NoOfferError | None,
) -> Quote:
    """Rank the candidates, and mark those that a cap excludes."""
    judged = [_judged(one, left_usd=cap_usd - spent_usd) for one in candidates]
    ranked = sorted(
        judged,
        key=lambda one: (bool(one.why_not), one.run_usd, one.name, str(one.row.hardware_id)),
    )
    return Quote(
        wish=wish, candidates=tuple(ranked), cap_usd=cap_usd, spent_usd=spent_usd, none=none
    )


def arithmetic(offer: Offer, *, hours: int) -> str:
    """Return how the bill of an offer comes about, in one line."""
    price, total = offer.price_usd_per_hour, offer.total_usd
    base = cost.total_usd(price, hours=hours)
    plus = ""
    if total != base and base:
        percent = ((total - base) / base * 100).quantize(Decimal("0.01"))
        plus = f"{cost.dollars(base)} + {percent.normalize():f} % fees = "
    bought = f"{offer.machine} at {_price(price)}/h x {hours} h"
    return f"{bought} = {plus}{cost.dollars(total)}"


def comparison(one: Candidate, *, share: float = 1.0) -> str:
    """Return how the hours that are bought compare with those that the recipe needs.

    `share` is how much of the recipe they are: the rest was trained on machines before.
    """
    bought = f"buys {one.hours} h"
    if share >= 1 or not one.needed_hours:
        return compared(one.needed_hours, bought=bought)
    whole = one.needed_hours / share
    return (
        f"about {one.needed_hours:.1f} h are left of about {whole:.1f} h here; {bought}; more "
        "hours extend a live run"
    )


def compared(needed_hours: float, *, bought: str) -> str:
    """Return how long the recipe takes beside what is said of the hours bought."""
    if not needed_hours:
        return f"how long the recipe takes is not known; {bought}"
    return f"recipe needs about {needed_hours:.1f} h here; {bought}; more hours extend a live run"


def first_hours(one: Candidate, *, hours: int) -> str:
    """Return in which order the hours are bought."""
    return (
        f"buys {hours} h first, and the other {one.hours - hours} h once the machine is checked; "
        "one that does not work is given back"
    )


def table(quote: Quote) -> str:
    """Return the candidates as lines of at most 80 columns, the choice marked with an arrow."""
    shown = quote.candidates[:MAX_LISTED]
    names = max((len(one.name) for one in shown), default=0)
    names = min(max(names, len("machine")), WIDTH - 2 - sum(_WIDTHS) - len(_WIDTHS))
    heads = " ".join(f"{head:>{width}}" for head, width in zip(_HEADS, _WIDTHS, strict=True))
    lines = [f"  {'machine':<{names}} {heads}"]
    for one in shown:
        mark = "->" if one is quote.chosen else "  "
        cells = " ".join(
            f"{cell:>{width}}" for cell, width in zip(_cells(quote, one), _WIDTHS, strict=True)
        )
        lines.append(f"{mark}{one.name[:names]:<{names}} {cells}")
        if one.why_not:
            lines += textwrap.wrap(
                f"not: {one.why_not}", WIDTH, initial_indent=" " * 5, subsequent_indent=" " * 10
            )
    if left := len(quote.candidates) - len(shown):
        lines.append(f"  and {left} more")
    return "\n".join(lines)


def to_json(quote: Quote) -> dict[str, Any]:
    """Return the quote for machines; amounts are text, as decimals are."""
    ranked = quote.candidates
    return {
        "cap_usd": _text(quote.cap_usd),
        "spent_usd": _text(quote.spent_usd),
        "chosen": next((n for n, one in enumerate(ranked) if one is quote.chosen), None),
        "candidates": [_row_json(quote, one) for one in ranked],
    }


def _row_json(quote: Quote, one: Candidate) -> dict[str, Any]:
    offer = one.offer
    return {
        "hardware_id": one.row.hardware_id,
        "machine": one.name,
        "gpus": one.wish.gpus,
        "place": one.place,
        "available": one.available,
        "usd_per_hour": _text(offer.price_usd_per_hour if offer else None),
        "needed_hours": round(one.needed_hours, 2) or None,
        "hours": one.hours,
        "fees_usd": _text(one.fees_usd),
        "expected_usd": _text(offer.total_usd if offer else None),
        "worst_usd": _text(quote.worst_usd(one) if offer else None),
        "why_not": one.why_not or None,
    }


def _judged(one: Candidate, *, left_usd: Decimal) -> Candidate:
    if one.why_not or one.offer is None:
        return one
    most = one.wish.max_usd_per_gpu_hour
    why = ""
    if most and one.offer.price_usd_per_hour / max(one.wish.gpus, 1) > most:
        why = ABOVE_THE_HOURS_CAP
    elif one.offer.total_usd > left_usd:
        why = ABOVE_THE_CAP
    return replace(one, why_not=why)


def _too_dear(quote: Quote, offer: Offer) -> IonetError:
    hours = next(one.hours for one in quote.candidates if one.offer is offer)
    try:
        cost.require_within_cap(
            offer.total_usd,
            cap_usd=quote.cap_usd,
            what=f"{offer} x {hours} h",
            hours=hours,
            spent_usd=quote.spent_usd,
        )
    except IonetError as error:
        return error
    return NoOfferError(f"{offer} is {ABOVE_THE_CAP}. Nothing was rented.")


def _not_bought(quote: Quote) -> NoOfferError:
    """Return the error where rows fit, and none has a price that is allowed."""
    wish = quote.wish
    listed = [f"  {offers.line(one.row)}: {one.why_not}" for one in quote.candidates[:MAX_LISTED]]
    prices = [
        one.offer.price_usd_per_hour / wish.gpus
        for one in quote.candidates
        if one.offer and one.why_not == ABOVE_THE_HOURS_CAP
    ]
    text = f"io.net has {wish.gpus} x {wish.gpu_type} and none at an allowed price."
    if prices:
        text += (
            f" The cheapest is {cost.dollars(min(prices))} an hour a GPU: raise "
            f"trainstack:maxUsdPerGpuHour, which is {cost.dollars(wish.max_usd_per_gpu_hour)}, or "
            "wait for a cheaper offer."
        )
    return NoOfferError("\n".join([f"{text} Nothing was rented. There are:", *listed]))


def _cells(quote: Quote, one: Candidate) -> tuple[str, ...]:
    free = "?" if one.available is None else str(one.available)
    if one.offer is None:
        price = one.row.price_usd_per_hour if offers.is_priced(one.row) else None
        whole = offers.price_of(one.row, one.wish) if price else None
        return (one.place, free, _amount(whole), str(one.hours), "", "", "")
    return (
        one.place,
        free,
        _amount(one.offer.price_usd_per_hour),
        str(one.hours),
        _amount(one.fees_usd),
        _amount(one.offer.total_usd),
        _amount(quote.worst_usd(one)),
    )


def _amount(usd: Decimal | None) -> str:
    return "-" if usd is None else cost.dollars(usd).removeprefix("$")


def _price(usd: Decimal) -> str:
    """Return a price an hour so precisely that the arithmetic can be followed."""
    short = usd.quantize(cost.CENT)
    return cost.dollars(usd) if short == usd else f"${usd.quantize(_FOUR_PLACES):,}"


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"
