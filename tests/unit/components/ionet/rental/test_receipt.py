"""What a receipt says was lost, kept and refunded, as tables."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from components.ionet.models import Deployment
from components.ionet.rental.receipt import Kept, Receipt, lost_in_words
from container.contract.records import Metric

SAVED = {
    "checkpoints/base/d2/complete_000040.json": 9,
    "checkpoints/base/d2/complete_000020.json": 9,
}
KEPT = Kept(place="s3://b/p", objects=9, size_bytes=12_000_000, listed=4, has_manifest=True)


def told(step: int, stage: str = "base") -> Metric:
    return Metric(stage=stage, step=step, at="")


@pytest.mark.parametrize(
    ("outcome", "stage", "last", "sizes", "expected"),
    [
        ("succeeded", "report", told(99), SAVED, "nothing"),
        ("", "", None, {}, "nothing: it had not begun"),
        ("stopped", "base", told(39), SAVED, "nothing: stage base is saved up to step 40"),
        (
            "stopped",
            "base",
            told(40),
            SAVED,
            "1 step of stage base, since its checkpoint of step 40",
        ),
        ("", "base", told(59), SAVED, "20 steps of stage base, since its checkpoint of step 40"),
        ("stopped", "base", told(9), {}, "10 steps of stage base, as it has no checkpoint"),
        ("stopped", "sft", told(9, "sft"), SAVED, "10 steps of stage sft, as it has no checkpoint"),
        (
            "stopped",
            "eval",
            told(99),
            SAVED,
            "what stage eval had done; the stages before it are kept",
        ),
    ],
)
def test_lost_is_what_no_checkpoint_holds(
    outcome: str, stage: str, last: Metric | None, sizes: dict[str, int], expected: str
) -> None:
    assert lost_in_words(outcome=outcome, stage=stage, last=last, sizes=sizes) == expected


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (KEPT, "all 4 that the manifest and the checkpoints list are whole"),
        (replace(KEPT, has_manifest=False), "all 4 that checkpoints list are whole"),
        (replace(KEPT, wrong=("a", "b")), "2 are not whole: a, b"),
        (replace(KEPT, wrong=("a", "b", "c", "d")), "4 are not whole: a, b, c, …"),
        (replace(KEPT, listed=0), "no checkpoint was finished"),
        (None, "not known: away"),
    ],
)
def test_kept_is_held_against_what_the_run_listed(kept: Kept | None, expected: str) -> None:
    assert expected in receipt(kept=kept).rows()["kept"]


def record(paid: str, *, served: int = 30, remaining: int = 150) -> Deployment:
    return Deployment(
        id="d",
        status="running",
        amount_paid_usd=Decimal(paid),
        total_gpus=8,
        compute_minutes_served=served,
        compute_minutes_remaining=remaining,
    )


def receipt(
    *, kept: Kept | None = KEPT, before: Deployment | None = None, after: Deployment | None = None
) -> Receipt:
    return Receipt(
        run="main",
        deployment_id="d",
        ended="stopped",
        kept=kept,
        lost="nothing",
        before=before,
        after=after,
        bucket_problem="away",
    )


@pytest.mark.parametrize(
    ("before", "after", "hours", "charged", "refunded"),
    [
        (record("85.52"), record("85.52"), "2.5 h unused", "$85.52", "$0.00"),
        (record("85.52"), record("28.51"), "2.5 h unused", "$85.52", "$57.01"),
        (record("85.52"), None, "2.5 h unused", "$85.52", "not known"),
        (None, None, "io.net tells none", "not known", "not known"),
    ],
)
def test_money_is_what_the_vendors_record_says(
    before: Deployment | None, after: Deployment | None, hours: str, charged: str, refunded: str
) -> None:
    rows = receipt(before=before, after=after).rows()
    assert hours in rows["hours"]
    assert charged in rows["charged"]
    assert rows["refunded"].startswith(refunded)


def test_the_block_fits_80_columns_and_cuts_nothing() -> None:
    one = receipt(kept=replace(KEPT, wrong=("checkpoints/base/d20/model_000040.pt",) * 4))
    assert max(map(len, one.lines())) <= 80
    told = " ".join(" ".join(one.lines()).split())
    assert all(words in told for words in one.rows().values())
