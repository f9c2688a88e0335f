"""`runs doctor --report` against the local vendor: what it writes down, and what it never shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from components.ledger.page import Page
from container.contract.records import Attempt
from runs.errors import EXIT_USAGE
from runs.vendor_report.asking import Asker
from tests.contract.caas_place import API_KEY, CaasPlace, eventually
from tests.contract.in_memory_runtime import InMemoryRuntime
from tests.runs_builders import verdict
from tests.unit.runs.rental_builders import IDENTITY, NAME, NOW, OWNER, rental
from tests.unit.runs.typed import Ended, typed

PREFIX = f"{OWNER.family(IDENTITY)}-cafe0001"
GONE = "127.0.0.1:9"
PLANTED = (
    API_KEY,
    "env-secret-planted",
    "registry-secret-planted",
    "said-by-the-program",
    "RUN_NAME",
)
Reported = Callable[..., tuple[Ended, str]]


@pytest.fixture
def reported(caas: CaasPlace, tmp_path: Path) -> Reported:
    """Type the command against this vendor and a bucket, and return what it wrote."""

    def report(
        objects: dict[str, bytes] | None = None, *, url: str = caas.url
    ) -> tuple[Ended, str]:
        file = tmp_path / f"report-{len(list(tmp_path.glob('report-*')))}.md"
        ended = typed(
            objects or {},
            *("doctor", "--bucket", "b", "--report", "--to", str(file)),
            environ={"IONET_BASE_URL": url, "IONET_API_KEY": API_KEY, "REGISTRY_SERVER": GONE},
        )
        return ended, file.read_text(encoding="utf-8")

    return report


def rent(caas: CaasPlace, runtime: InMemoryRuntime, name: str) -> str:
    """Rent a machine whose program has said something."""
    deployment_id = caas.deploy(name)
    caas.until(deployment_id, "running")
    eventually(lambda: runtime.outputs)
    for output in runtime.outputs.values():
        output.write(b'said-by-the-program\n{"json": 1}\n')
    return deployment_id


def test_what_became_of_a_machine_stands_beside_what_was_written_down_of_its_run(
    caas: CaasPlace, runtime: InMemoryRuntime, reported: Reported
) -> None:
    deployment_id = rent(caas, runtime, NAME)
    page = Page(owner=OWNER, entries=(rental(deployment_id, asked_at=NOW).entry,))
    late = (NOW + timedelta(minutes=4)).isoformat()
    objects = {
        OWNER.key: page.to_json(),
        f"{PREFIX}/attempts/1.json": Attempt(
            number=1, started_at=late, host="h", reason="first start"
        ).to_json(),
        f"{PREFIX}/verdict.json": verdict(outcome="succeeded").to_json(),
    }
    ended, text = reported(objects)
    assert f"### {NAME}" in text
    assert "- ledger: asked 2026-11-25 12:00:00 UTC, 5 h, $12.30, rented" in text
    assert f"- attempt 1: {late}, first start" in text
    assert "- verdict: succeeded" in text
    assert "data.amount_paid: number (" in text
    assert "data.compute_minutes_remaining: integer (" in text
    assert "data.workers[].status: text (running)" in text
    assert "It holds no key" in ended.err


def test_no_secret_variable_or_log_line_is_in_a_report(
    caas: CaasPlace, runtime: InMemoryRuntime, reported: Reported
) -> None:
    rent(caas, runtime, NAME)
    ended, text = reported()
    assert "container_config.env_variables.*: text" in text
    assert [one for one in PLANTED if one in text + ended.out + ended.err] == []


def test_other_peoples_machines_are_not_in_a_report(
    caas: CaasPlace, runtime: InMemoryRuntime, reported: Reported
) -> None:
    rent(caas, runtime, "somebody-elses")
    assert "somebody-elses" not in reported()[1]


def test_refusals_pages_and_quotes_are_written_down_as_they_were_answered(
    caas: CaasPlace, runtime: InMemoryRuntime, reported: Reported
) -> None:
    for name in ("one", "two"):
        rent(caas, runtime, name)
    text = reported()[1]
    assert "page_size=1 with a made-up key`: 401" in text
    assert "duration_hours=720" in text
    assert "data.total_cost_usdc: number (" in text
    assert "Pages 0 and 1, one deployment each, show " in text


@pytest.mark.parametrize("ends", [True, False])
def test_how_a_log_is_framed_is_told_by_kinds_of_lines(
    caas: CaasPlace, runtime: InMemoryRuntime, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr("runs.vendor_report.asking.LOG_FOR_S", 0.5)
    deployment_id = rent(caas, runtime, NAME)
    (worker,) = caas.workers(deployment_id)
    if ends:
        for output in runtime.outputs.values():
            output.close()
    path = f"/deployment/{deployment_id}/log/{worker['container_id']}"
    answer = Asker(API_KEY, base_url=caas.url).listen(path)
    assert answer.ended == ends
    assert set(answer.lines) & {"data: text", "text"}
    assert not any("said" in line for line in answer.lines)


def test_a_vendor_that_is_away_leaves_a_report_that_says_so(reported: Reported) -> None:
    _, text = reported(url=f"http://{GONE}")
    assert "no answer: " in text
    assert text.count("   - seen: ") == 14


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--report", "--to", "mine.md"), "name another file"),
        (("--to", "o.md"), "say --report too"),
    ],
)
def test_a_report_is_written_to_another_file_when_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, other = tmp_path / "mine.md", tmp_path / "o.md"
    mine.write_text("what I saw", encoding="utf-8")
    environ = {
        "IONET_BASE_URL": f"http://{GONE}",
        "IONET_API_KEY": API_KEY,
        "REGISTRY_SERVER": GONE,
    }
    ended = typed({}, "doctor", "--bucket", "b", *words, environ=environ)
    assert ended.code == EXIT_USAGE
    assert told in ended.err
    typed({}, "doctor", "--bucket", "b", "--report", "--to", "o.md", environ=environ)
    assert other.exists()
    assert mine.read_text(encoding="utf-8") == "what I saw"
