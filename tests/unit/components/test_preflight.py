"""The check before a machine is rented: three outcomes, and what each says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.preflight import check_bucket, check_image, check_wandb, main, unknown_in
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.unit.components.vendor_double import Vendor

PREFIX = "dev-main-1a2b3c4d-deadbeef"


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


@pytest.fixture
def env(r2: FakeR2) -> dict[str, str]:
    return {
        "R2_ENDPOINT": r2.url,
        "R2_BUCKET": BUCKET,
        "R2_ACCESS_KEY_ID": "planted-access-key",
        "R2_SECRET_ACCESS_KEY": "planted-secret-key",
        "CREDENTIALS_EXPIRE_ON": "2999-01-01T00:00:00Z",
        "RUN_PREFIX": PREFIX,
    }


def test_a_key_that_no_header_can_carry_is_refused_at_once(
    env: dict[str, str], r2: FakeR2, capsys: pytest.CaptureFixture[str]
) -> None:
    """It cost 71 seconds of trying, and then the network was blamed."""
    assert main({**env, "R2_SECRET_ACCESS_KEY": "planted\nplanted"}) == 1
    said = capsys.readouterr().err
    assert "refused: R2_SECRET_ACCESS_KEY: character 8 is U+000A" in said
    assert "planted" not in said
    assert r2.calls == []


class Waiting:
    """A clock that moves by waiting; `meanwhile` happens at the first wait."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.meanwhile = lambda: None

    def sleep(self, seconds: float) -> None:
        self.meanwhile()
        self.time_s += seconds

    def now(self) -> float:
        return self.time_s


def test_an_object_is_written_read_and_deleted_with_the_runs_credentials(
    env: dict[str, str], r2: FakeR2
) -> None:
    found = check_bucket(env)
    assert found.outcome == "passed"
    assert [call.split()[0] for call in r2.calls] == ["PUT", "GET", "DELETE"]
    assert r2.objects == {}
    assert f"/{BUCKET}/{PREFIX}/preflight-" in r2.calls[0]


def test_a_token_that_is_not_known_everywhere_yet_is_waited_for(
    env: dict[str, str], r2: FakeR2
) -> None:
    clock = Waiting()
    r2.refuse = "Unauthorized"
    clock.meanwhile = lambda: setattr(r2, "refuse", "")
    found = check_bucket(env, sleep=clock.sleep, now=clock.now)
    assert found.outcome == "passed"
    assert "after 2 s" in found.text


def test_refused_credentials_end_the_update_after_the_wait(env: dict[str, str], r2: FakeR2) -> None:
    clock = Waiting()
    r2.refuse = "AccessDenied"
    found = check_bucket(env, sleep=clock.sleep, now=clock.now)
    assert found.outcome == "refused"
    assert clock.time_s == 90
    assert "refused the run's own credentials for 90 s (AccessDenied: " in found.text
    assert "Nothing was rented" in found.text
    assert "planted" not in found.text


@pytest.mark.parametrize(
    ("refused", "remedy", "change"),
    [
        (BUCKET, "Check trainstack:bucket", {"R2_BUCKET": "the-right-one"}),
        ("planted-access-key", "raise trainstack:renew", {"R2_ACCESS_KEY_ID": "of-a-new-token"}),
    ],
    ids=["another bucket", "the token of a renewal"],
)
def test_refused_credentials_are_mended_as_it_is_told(
    env: dict[str, str], r2: FakeR2, refused: str, remedy: str, change: dict[str, str]
) -> None:
    clock = Waiting()
    r2.refuses_words = refused
    found = check_bucket(env, sleep=clock.sleep, now=clock.now)
    assert found.outcome == "refused"
    assert remedy in found.text
    assert check_bucket({**env, **change}, sleep=clock.sleep, now=clock.now).outcome == "passed"


def test_an_unreachable_bucket_ends_the_update(env: dict[str, str], r2: FakeR2) -> None:
    clock = Waiting()
    found = check_bucket(
        {**env, "R2_ENDPOINT": "http://127.0.0.1:9"}, wait_s=0, sleep=clock.sleep, now=clock.now
    )
    assert found.outcome == "refused"
    assert "(nothing listens there)" in found.text


def test_expired_credentials_are_not_tried_and_block_nothing(
    env: dict[str, str], r2: FakeR2
) -> None:
    """A finished run's token expires; the next update must still be able to say "no change"."""
    found = check_bucket({**env, "CREDENTIALS_EXPIRE_ON": "2020-01-01T00:00:00Z"})
    assert found.outcome == "unknown"
    assert "expired at 2020-01-01" in found.text
    assert r2.calls == []


def test_an_image_that_cannot_be_asked_for_is_unknown_and_blocks_nothing() -> None:
    digest = "sha256:" + "0" * 64
    assert check_image({"IMAGE": f"127.0.0.1:9/a/b@{digest}"}).outcome == "unknown"


def test_the_command_fails_only_when_something_is_refused(
    env: dict[str, str], r2: FakeR2, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(env) == 0
    said = capsys.readouterr()
    assert "preflight: passed: bucket" in said.out
    assert "planted" not in said.out + said.err


KEY = "planted-wandb-key"


@pytest.fixture
def wandb() -> Iterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.stop()


@pytest.mark.parametrize(
    ("status", "body", "outcome", "told", "code"),
    [
        (200, {"data": {"viewer": {"id": "x"}}}, "passed", "W&B takes the key", 0),
        (401, {}, "refused", "`pulumi config set --secret trainstack:wandbApiKey`", 1),
        (200, {"data": {"viewer": None}}, "refused", "Nothing was rented", 1),
        (503, b"", "unknown", "was not checked", 0),
    ],
)
def test_a_wandb_key_that_is_wrong_is_told_before_anything_is_rented(
    env: dict[str, str],
    wandb: Vendor,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: object,
    outcome: str,
    told: str,
    code: int,
) -> None:
    """https://github.com/wandb/wandb/issues/4705: else it is told on a machine that bills."""
    wandb.will(status, body)
    env |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": wandb.url}
    found = check_wandb(env)
    assert found.outcome == outcome
    assert told in found.text
    assert main(env) == code
    said = capsys.readouterr()
    assert KEY not in said.out + said.err


def test_what_could_not_be_asked_is_found_in_what_was_said(
    env: dict[str, str], wandb: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb.will(503, b"")
    assert main(env | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": wandb.url}) == 0
    said = capsys.readouterr().out
    image, key = unknown_in(said)
    assert image.startswith("preflight: unknown: the image")
    assert key.startswith("preflight: unknown: W&B's key was not checked")
    assert len(said.splitlines()) == 3, "the bucket passed"
    assert unknown_in("") == []


@pytest.mark.parametrize("way", ["Set another", "or set trainstack:wandbRun to dummy"])
def test_a_refused_wandb_key_is_replaced_or_not_needed(
    env: dict[str, str], wandb: Vendor, way: str
) -> None:
    """For the run `dummy` the program hands the check no key: tests/program/test_program.py."""
    wandb.will(401, {})
    env |= {"WANDB_BASE_URL": wandb.url}
    reporting = {**env, "WANDB_API_KEY": KEY}
    assert way in check_wandb(reporting).text
    assert main(reporting) == 1
    if way == "Set another":
        wandb.answers.clear()
        wandb.will(200, {"data": {"viewer": {"id": "x"}}})
        assert main({**env, "WANDB_API_KEY": "planted-another"}) == 0
    else:
        assert main(env) == 0


def test_wandb_is_not_asked_for_a_run_that_reports_nothing(
    env: dict[str, str], wandb: Vendor
) -> None:
    assert main({**env, "WANDB_BASE_URL": wandb.url}) == 0
    assert wandb.calls == []
