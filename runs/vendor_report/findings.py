"""What io.net and the bucket tell of the account's machines, gathered for the report; buys nothing.

Each part stands for itself: one that cannot be had is a line that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from components.ionet import catalogue, json_shapes, models
from components.ionet.errors import IonetError
from container.contract.keys import ATTEMPTS_PREFIX, VERDICT_KEY
from container.contract.records import Attempt, RecordError, Verdict
from runs import machines, rentals
from runs.errors import RunsError
from runs.rentals import Rental
from runs.source.source import Source
from runs.vendor_report.asking import MADE_UP_KEY, Answer, Asker

NEWEST = 5
HOURS_ASKED = (1, 24, 168, 720)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Rented:
    """One deployment of ours: what io.net answers of it, and what was written down of its run."""

    deployment_id: str
    name: str
    answers: list[Answer]
    rental: Rental | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    verdict: Verdict | None = None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was gathered; `not_had` says what was not, and why."""

    market: list[Answer]
    lists: list[Answer]
    refusals: list[Answer]
    rented: list[Rented]
    not_had: list[str]


def gather(source: Source, asker: Asker) -> Findings:
    """Ask everything, the account first."""
    not_had: list[str] = []
    pages = [_page(asker, page, size=1) for page in (0, 1)]
    every = _page(asker, 1, size=100)
    known = _had("the ledger", lambda: rentals.read(source.bucket).rentals, not_had) or []
    folders = _had("the bucket's runs", lambda: list(source.bucket.folders()), not_had) or []
    return Findings(
        market=list(_market(asker)),
        lists=[*pages, every],
        refusals=[
            asker.ask("/deployments", query={"page": "1", "page_size": "1"}, key=MADE_UP_KEY),
            asker.ask("/deployment/00000000-0000-0000-0000-000000000000"),
        ],
        rented=[
            _rented(asker, source, row, known, folders, not_had)
            for row in _rows(every)
            if machines.is_ours(row)
        ][:NEWEST],
        not_had=not_had,
    )


def shown_on(answer: Answer) -> list[str]:
    """Return the IDs on a page of the list."""
    return [row.id for row in _rows(answer)]


def _page(asker: Asker, page: int, *, size: int) -> Answer:
    return asker.ask("/deployments", query={"page": str(page), "page_size": str(size)})


def _rows(answer: Answer) -> list[models.DeploymentRow]:
    try:
        return models.deployment_page(answer.body)[0]
    except json_shapes.WireError:
        return []


def _market(asker: Asker) -> Iterator[Answer]:
    listed = asker.ask("/hardware")
    yield listed
    yield asker.ask("/hardware/max-gpus-per-container")
    try:
        rows = catalogue.hardware_rows(listed.body)
    except IonetError:
        return
    network = [row for row in rows if not row.regional][:1]
    regional = [row for row in rows if row.regional and row.location][:1]
    places: list[int] = []
    for row in network:
        query = {"hardware_id": str(row.hardware_id), "hardware_qty": "1"}
        answer = asker.ask("/available-replicas", query=query)
        yield answer
        try:
            places = [place.location_id for place in models.places(answer.body)][:1]
        except json_shapes.WireError:
            places = []
    quoted = [(row, f"[{places[0]}]") for row in network if places]
    for row, place in [*quoted, *((row, str(row.location)) for row in regional)]:
        for hours in HOURS_ASKED:
            query = {
                "hardware_id": str(row.hardware_id),
                "location_ids": place,
                "gpus_per_container": "1",
                "duration_hours": str(hours),
                "replica_count": "1",
            }
            yield asker.ask("/price", query=query)


def _rented(
    asker: Asker,
    source: Source,
    row: models.DeploymentRow,
    known: Sequence[Rental],
    folders: Sequence[str],
    not_had: list[str],
) -> Rented:
    path = f"/deployment/{row.id}"
    answers = [asker.ask(path), asker.ask(f"{path}/containers")]
    for container in _containers(answers[-1].body)[:1]:
        answers.append(asker.ask(f"{path}/containers-jobs/{container}"))
        answers.append(asker.listen(f"{path}/log/{container}"))
    rental = rentals.of_machine(row, known)
    attempts: list[Attempt] = []
    verdict: Verdict | None = None
    if rental is not None:
        family = rental.owner.family(rental.entry.identity)
        prefixes = [name for name in folders if name.startswith(f"{family}-")]
        kept = _had(f"the records of {family}", lambda: _records(source, prefixes), not_had)
        attempts, verdict = kept or ([], None)
    return Rented(
        deployment_id=row.id,
        name=row.name,
        answers=answers,
        rental=rental,
        attempts=attempts,
        verdict=verdict,
    )


def _records(source: Source, prefixes: Sequence[str]) -> tuple[list[Attempt], Verdict | None]:
    bucket, attempts = source.bucket, list[Attempt]()
    verdict: Verdict | None = None
    for prefix in prefixes:
        keys = [found.key for found in bucket.objects(f"{prefix}/{ATTEMPTS_PREFIX}")]
        for _, raw in bucket.read_many(keys):
            try:
                attempts.append(Attempt.from_json(raw or b""))
            except RecordError:
                continue
        verdict = bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict) or verdict
    return sorted(attempts, key=lambda one: one.number), verdict


def _containers(body: Any) -> list[str]:
    ids = [members.get("container_id") for members in json_shapes.objects(body)]
    return [one for one in ids if isinstance(one, str) and one]


def _had(what: str, ask: Callable[[], T], not_had: list[str]) -> T | None:
    try:
        return ask()
    except RunsError as error:
        not_had.append(f"{what}: {str(error).partition(chr(10))[0]}")
        return None
