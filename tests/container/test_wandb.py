"""W&B is a nicety: a wrong key, or W&B away, costs its curves a delay, never the training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from container.contract.environment import RunEnvironment
from container.stages.stage_process import StageEnd
from container.stages.wandb_mode import WandbMode, says_wandb_failed
from container.transport.wandb_login import Answer, ask, judge
from tests.container.conftest import Launch, Running
from tests.container.recipes import fake_recipe, file_stage, trainer_stage
from tests.unit.components.vendor_double import Vendor

KEY = "planted-wandb-key-" + "0" * 22
ALLOWED = {"data": {"viewer": {"id": "x"}}}
NOBODY = {"data": {"viewer": None}}

# As the library behaves: it wants the server when it is online, a folder when it is not, and ends
# the program for a key with white space in both cases.
LIBRARY = """
import os, pathlib, time
class UsageError(Exception): pass
class CommError(Exception): pass
for one in (UsageError, CommError): one.__module__ = "wandb.errors.errors"
def init():
    key, mode = os.environ.get("WANDB_API_KEY"), os.environ.get("WANDB_MODE", "online")
    if key is not None and key != key.strip():
        raise UsageError("API key cannot start or end with whitespace")
    print("wandb is", mode, "with a key" if key else "without a key")
    if mode == "online" and os.environ.get("FAILS"):
        raise CommError("Error uploading run: returned error 500")
    if mode == "offline":
        folder = pathlib.Path(os.environ["WANDB_DIR"]) / "wandb" / "offline-run-1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run-1.wandb").write_bytes(b"curves")
"""


@pytest.fixture
def api() -> Iterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.stop()


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, ALLOWED, "allowed"),
        (200, NOBODY, "refused"),
        (401, {"errors": [{"message": "user is not logged in"}]}, "refused"),
        (401, b"", "refused"),
        (403, {"errors": [{"message": "permission denied"}]}, "refused"),
        (403, b"<html>blocked by a proxy</html>", "unknown"),
        (407, b"", "unknown"),
        (429, {"error": "rate limit"}, "unknown"),
        (500, b"", "unknown"),
        (302, b"", "unknown"),
        (404, b"", "unknown"),
        (200, b"<html>Wi-Fi</html>", "unknown"),
        (200, [], "unknown"),
        (200, {"data": None}, "unknown"),
        (200, {"errors": [{"message": "new schema"}]}, "unknown"),
    ],
)
def test_only_wandbs_own_no_is_a_refusal(api: Vendor, status: int, body: Any, outcome: str) -> None:
    api.will(status, body)
    answer = ask(KEY, env={"WANDB_BASE_URL": api.url})
    assert answer.outcome == outcome
    assert KEY not in answer.why
    assert api.calls == ["POST /graphql"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "not an address", "http://[::bad", "file:///etc/passwd", "http:"]
)
def test_wandb_that_does_not_answer_is_unknown(url: str) -> None:
    assert ask(KEY, env={"WANDB_BASE_URL": url}).outcome == "unknown"


@pytest.mark.parametrize("key", [KEY + "\n", " " + KEY, "a b", "schl\xfcssel", "\x00"])
def test_a_key_with_what_no_key_has_is_refused_unsent(api: Vendor, key: str) -> None:
    answer = ask(key, env={"WANDB_BASE_URL": api.url})
    assert answer.outcome == "refused"
    assert "character" in answer.why
    assert api.calls == []


def test_an_answer_of_another_shape_says_nothing_of_the_key() -> None:
    assert judge(200, b'{"data": {"viewer": {}}}', host="h").outcome == "refused"
    assert judge(200, b"\xff", host="h") == Answer(
        "unknown", "h answered HTTP 200, nothing of the key"
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("wandb.errors.errors.CommError: Error uploading run: returned error 404", True),
        ("[rank0]: wandb.errors.errors.UsageError: api_key not configured (no-tty)", True),
        ("wandb.errors.AuthenticationError: The API key you provided is either invalid or", True),
        ("wandb.sdk.lib.service.service_port_file.ServicePollForTokenError: Failed to read", True),
        ("ValueError: API key must be 40 characters long, yours was 41", True),
        ('  File "/opt/nanochat/.venv/lib/python3.10/site-packages/wandb/sdk/x.py", line 9', True),
        ('[rank0]:   File "/x/site-packages/wandb/sdk/wandb_init.py", line 1573, in init', True),
        ("wandb: Network error (ConnectTimeout), entering retry loop.", False),
        ('  File "/opt/nanochat/scripts/base_train.py", line 9, in <module>', False),
        ("we use wandb.errors here", False),
    ],
)
def test_an_error_that_went_through_wandbs_library_is_known(line: str, says: bool) -> None:
    """https://github.com/wandb/wandb/issues/10497 and https://github.com/wandb/wandb/issues/4705"""
    assert says_wandb_failed(line) == says


def mode(tmp_path: Path, *answers: Answer, run: str = "mine", key: str = KEY) -> WandbMode:
    variables = {
        "RUN_PREFIX": "p", "RECIPE": "r", "R2_ENDPOINT": "e", "R2_BUCKET": "b",
        "R2_ACCESS_KEY_ID": "a", "R2_SECRET_ACCESS_KEY": "s", "WANDB_RUN": run,
        "WANDB_API_KEY": key, "WORK_DIR": str(tmp_path),
    }  # fmt: skip
    following = iter(answers)
    environment = RunEnvironment.from_env(variables)
    found = WandbMode(
        environment, process_env={}, say=lambda _: None, ask=lambda *_, **__: next(following)
    )
    found.begin()
    return found


UNKNOWN, YES = Answer("unknown", "away"), Answer("allowed")


@pytest.mark.parametrize(
    ("answers", "key", "offline"),
    [
        ((YES,), KEY, False),
        ((UNKNOWN, YES), KEY, False),
        ((UNKNOWN, UNKNOWN), KEY, True),
        ((Answer("refused", "no"),), KEY, True),
        ((), "", True),
    ],
)
def test_a_machine_that_cannot_log_in_reports_into_files(
    tmp_path: Path, answers: tuple[Answer, ...], key: str, offline: bool
) -> None:
    found = mode(tmp_path, *answers, key=key)
    assert found.offline == offline
    if offline:
        assert found.environment() == {
            "WANDB_DIR": str(tmp_path), "WANDB_MODE": "offline", "WANDB_API_KEY": ""
        }  # fmt: skip


def test_a_run_that_reports_nothing_asks_nobody(tmp_path: Path) -> None:
    found = mode(tmp_path, run="dummy")
    assert (found.offline, found.environment()) == (False, {})


@pytest.mark.parametrize(
    ("end", "blamed", "offline"),
    [("failed", True, True), ("stalled", False, True), ("done", False, False)],
)
def test_wandb_is_blamed_once_and_a_stall_counts_all_the_same(
    tmp_path: Path, end: Any, blamed: bool, offline: bool
) -> None:
    found = mode(tmp_path, YES)
    found.take("wandb.errors.errors.CommError: away")
    assert found.is_to_blame(StageEnd(end=end, exit_code=1)) == blamed
    assert found.offline == offline
    found.take("wandb.errors.errors.CommError: away")
    assert not found.is_to_blame(StageEnd(end="failed", exit_code=1)) or not offline


def trains(
    launch: Launch, tmp_path: Path, api: Vendor, *, key: str = KEY, fails: str = ""
) -> Running:
    """Run a stage that uses the library, and then the fake trainer."""
    library = tmp_path / "library" / "wandb"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(LIBRARY)
    text = "import os, wandb; wandb.init(); os.makedirs('x', exist_ok=True); open('x/y', 'w')"
    stage = file_stage("base", local="x", key="x", text=text, retries=0)
    env = {"PYTHONPATH": str(library.parent), "FAILS": fails}
    stage = replace(stage, needs_credentials=True, env=env)
    return launch(
        fake_recipe(stage, trainer_stage("sft")),
        WANDB_RUN="mine",
        WANDB_API_KEY=key,
        WANDB_BASE_URL=api.url,
    )


def test_a_good_key_reports_at_once(launch: Launch, tmp_path: Path, api: Vendor) -> None:
    api.will(200, ALLOWED)
    run = trains(launch, tmp_path, api)
    assert run.verdict().outcome == "succeeded"
    assert "wandb is online with a key" in run.log


@pytest.mark.parametrize(
    ("status", "body", "key"),
    [(401, {}, KEY), (200, NOBODY, KEY), (503, b"", KEY), (200, NOBODY, KEY + "\n"), (401, {}, "")],
    ids=["refused", "unknown to it", "away", "pasted with a newline", "no key"],
)
def test_training_goes_on_offline_and_the_files_come_with_the_run(
    launch: Launch, tmp_path: Path, api: Vendor, status: int, body: Any, key: str
) -> None:
    """`UsageError` for a newline, `CommError`: each ended a paid run at its first step."""
    api.will(status, body)
    run = trains(launch, tmp_path, api, key=key)
    assert run.verdict().outcome == "succeeded", run.log
    assert "wandb is offline without a key" in run.log
    assert "`wandb sync`" in run.log
    assert KEY not in run.log
    assert "wandb/offline-run-1/run-1.wandb" in [one.key for one in run.manifest().artifacts]


def test_a_stage_that_wandbs_library_ends_is_started_again_offline_and_no_try_is_counted(
    launch: Launch, tmp_path: Path, api: Vendor
) -> None:
    api.will(200, ALLOWED)
    run = trains(launch, tmp_path, api, fails="yes")  # retries=0: a counted try would end the run
    assert run.verdict().outcome == "succeeded", run.log
    assert "wandb.errors.errors.CommError" in run.log
    assert "wandb is offline without a key" in run.log
    assert run.supervisor.bucket.get("wandb/offline-run-1/run-1.wandb") == b"curves"
