"""At every edge where something is said, no secret of an address is left in it."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest

from components import errors, preflight
from components.ionet import session
from container.contract.clock import Clock
from container.storage.bucket import BucketError
from container.telemetry.run_log import RunLog
from container.telemetry.run_status import LiveStatus
from localcloud.errors import LocalCloudError
from localcloud.pulumi.engine.errors import EngineError
from localcloud.pulumi.plugins.install import PluginInstallError
from localcloud.pulumi.plugins.resource import PluginError
from localcloud.pulumi.stack import StackError
from runs.errors import RunsError, UnreachableError
from runs.terminal import console

SAID = "no answer from https://me:planted@host/a?sig=planted"
SHOWN = "no answer from https://***@host/a?sig=***"


@pytest.mark.parametrize(
    "kind",
    [
        errors.TrainstackError,
        RunsError,
        UnreachableError,
        BucketError,
        LocalCloudError,
        EngineError,
        StackError,
        PluginInstallError,
        PluginError,
    ],
)
def test_no_error_that_people_read_shows_the_secrets_of_an_address(kind: type[Exception]) -> None:
    error = kind(SAID)
    assert str(error) == SHOWN
    assert "planted" not in repr(error)


def test_the_run_log_hides_them_from_the_machines_log_and_the_bucket(tmp_path: Path) -> None:
    """A package installer or git prints the address that it was given."""
    out = io.StringIO()
    live = LiveStatus(run="r", recipe="rehearsal", price_usd_per_hour=Decimal(0), clock=Clock())
    log = RunLog(folder=tmp_path, live_status=live, clock=Clock(), out=out)
    log.line("data", SAID)
    log.event(SAID)
    assert "planted" not in out.getvalue() + "".join(live.log_lines)
    assert out.getvalue().startswith(f"{SHOWN}\n")


def test_the_provider_and_the_terminal_hide_them(capsys: pytest.CaptureFixture[str]) -> None:
    session.say(SAID)
    console.say(SAID)
    said = capsys.readouterr()
    assert "planted" not in said.out + said.err


def test_the_preflight_hides_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        preflight, "check_bucket", lambda _: preflight.Finding(outcome="refused", text=SAID)
    )
    preflight.main({})
    said = capsys.readouterr()
    assert SHOWN in said.err
