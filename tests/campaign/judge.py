"""Whether a run ended as an undisturbed one does, and how much work a lost machine cost it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from container.contract.keys import PROBE_PREFIX, VERDICT_KEY, LogSegment, MarkerKey, attempt_of
from container.contract.records import Attempt, Verdict
from container.telemetry.nanochat_log import TrainingStep, parse_line
from tests.campaign.rented import INTERVALS, SETTINGS, Run
from tests.campaign.started import Started

TAG = f"d{SETTINGS['depth']}"
TOTALS = {"base": SETTINGS["num_iterations"], "sft": SETTINGS["sft_iterations"]}
NEEDED = {
    *(f"model/{name}" for name in ("base.pt", "sft.pt", "tokenizer.pkl")),
    "tokenizer/tokenizer.pkl",
    "tokenizer/token_bytes.pt",
    *(
        f"checkpoints/{stage}/{TAG}/{kind}_{total:06d}{rank}.pt"
        for stage, total in TOTALS.items()
        for kind, rank in (("model", ""), ("optim", "_rank0"))
    ),
}
_EVENT = re.compile(r"^trainstack \| (\w+) \| \S+ \| \S+ \| (.*)")
_SAVED = re.compile(r"^Saved checkpoint of step (\d+) ")
_GOES_ON = re.compile(r"^goes on from step (\d+)")


@dataclass(frozen=True)
class Training:
    """What a container's log shows of one training stage."""

    begun: int  # steps that were done when it began
    done: int  # steps that were done at the end of the log
    saved: tuple[int, ...]


@dataclass(frozen=True)
class Struck:
    """What there was when the machine was lost."""

    trained: Mapping[str, Training]
    kept: Mapping[str, tuple[int, ...]]  # steps with a marker in the bucket
    attempts: int  # that left a record or, when they were lost while they verified, a log
    verdict: bool
    multipart: tuple[str, ...]

    def under_way(self, stage: str) -> list[int]:
        """Return the saved steps that had not reached the bucket."""
        saved = self.trained[stage].saved if stage in self.trained else ()
        return [step for step in saved if step not in self.kept.get(stage, ())]


def trained(lines: list[str]) -> dict[str, Training]:
    """Read the training stages out of a log."""
    stage, found = "", dict[str, Training]()
    for line in lines:
        event = _EVENT.match(line)
        if event:
            stage = event[1]
            on = _GOES_ON.match(event[2])
            if stage in INTERVALS and event[2] == "stage started":
                found[stage] = Training(0, 0, ())
            elif stage in INTERVALS and on:
                found[stage] = Training(int(on[1]), int(on[1]), ())
            continue
        one, step, saved = found.get(stage), parse_line(line), _SAVED.match(line)
        if one and isinstance(step, TrainingStep):
            found[stage] = Training(one.begun, step.step + 1, one.saved)
        elif one and saved:
            found[stage] = Training(one.begun, one.done, (*one.saved, int(saved[1])))
    return found


def look_around(run: Run, lost: Started) -> Struck:
    """Return what a lost machine leaves: what it did, and what of it is in the bucket."""
    keys = run.bucket.list()
    kept: dict[str, list[int]] = {}
    attempts: set[int] = set()
    for key in keys:
        if marker := MarkerKey.parse(key):
            kept.setdefault(marker.folder.split("/")[1], []).append(marker.step)
        if segment := LogSegment.parse(key):
            attempts.add(segment.attempt)
        if number := attempt_of(key):
            attempts.add(number)
    return Struck(
        trained=trained(lost.lines),
        kept={stage: tuple(sorted(steps)) for stage, steps in kept.items()},
        attempts=len(attempts),
        verdict=VERDICT_KEY in keys,
        multipart=tuple(run.open_uploads()),
    )


def lost_steps(struck: Struck, after: Started) -> dict[str, int]:
    """Return the steps of each stage that are trained again; fail when these are too many.

    At most one checkpoint interval; a machine that is lost while a checkpoint is on its way to
    the bucket also loses what was trained since that one was saved.
    """
    again = trained(after.lines)
    lost: dict[str, int] = {}
    for stage, before in struck.trained.items():
        lost[stage] = max(0, before.done - again[stage].begun) if stage in again else 0
        on_its_way = struck.under_way(stage)
        since = before.done - min(on_its_way) if on_its_way else 0
        limit = INTERVALS[stage] + since
        newest = max(struck.kept.get(stage, (0,)))
        assert lost[stage] <= limit, f"{stage}: {lost[stage]} steps lost, {struck}, {again}"
        assert stage not in again or again[stage].begun >= newest, f"{stage}: {struck}, {again}"
    return lost


def ended_well(run: Run) -> Verdict:
    """Wait for a success and check all that a run leaves: hashes, no leftovers, no machine."""
    verdict = ended_whole(run)
    run.give_back()
    return verdict


def ended_whole(run: Run) -> Verdict:
    """The same, without giving the machine back."""
    verdict = run.verdict()
    assert verdict.outcome == "succeeded", f"{verdict.reason}\n{run.story()}"
    every_hash_is_right(run)
    assert run.open_uploads() == [], "a multipart upload was left open"
    leftovers = [key for key in run.bucket.list() if key.startswith(PROBE_PREFIX)]
    assert not leftovers, leftovers
    return verdict


def every_hash_is_right(run: Run) -> None:
    """Read each artefact of the manifest back and compare it."""
    for artifact in run.manifest().artifacts:
        content = run.bucket.get(artifact.key) or b""
        found = (len(content), hashlib.sha256(content).hexdigest())
        assert found == (artifact.size_bytes, artifact.sha256), artifact.key


def weights(run: Run) -> dict[str, str]:
    """Return the hash of each file of weights and of the tokenizer in the manifest."""
    return {
        artifact.key: artifact.sha256
        for artifact in run.manifest().artifacts
        if artifact.key.endswith((".pt", ".pkl"))
    }


def same_weights(found: Mapping[str, str], undisturbed: Mapping[str, str]) -> None:
    """Compare bit by bit, by hash.

    An earlier checkpoint may be missing: it was on its way when its machine and disk were lost,
    and the run went on from a later one. One more may be there: saved when asked to stop.
    """
    assert found.keys() >= NEEDED, NEEDED - found.keys()
    both = found.keys() & undisturbed.keys()
    other = sorted(key for key in both if found[key] != undisturbed[key])
    assert not other, f"other bits: {other}"


def attempts(run: Run) -> list[Attempt]:
    """Return the records of the attempts, oldest first."""
    keys = [key for key in run.bucket.list() if attempt_of(key) is not None]
    found = [Attempt.from_json(run.bucket.get(key) or b"") for key in keys]
    return sorted(found, key=lambda one: one.number)
