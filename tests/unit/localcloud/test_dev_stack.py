"""Stack dev is ready for a `pulumi` that is typed, as soon as a local cloud was started."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from localcloud import cli
from localcloud.env_file import write_env_file
from localcloud.place import CHECKOUT, load_place
from localcloud.pulumi.plugins.install import PLUGINS
from localcloud.pulumi.stack import STACK

pytestmark = pytest.mark.engine


def test_after_the_source_that_is_printed_pulumi_finds_its_state_its_stack_and_its_plugins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said "unable to open state directory", and then looked for plugins on the network.

    https://github.com/pulumi/pulumi/issues/15841
    """
    monkeypatch.chdir(CHECKOUT)
    place = load_place(tmp_path / "local")
    write_env_file(place)
    steps = [line.split("#")[0].strip() for line in cli.next_steps(place).splitlines()[1:]]
    assert steps == [f"source {place.env_path}", f"pulumi up --stack {STACK}", "trainstack_leave"]

    ask = "pulumi stack ls --json && echo --- && pulumi plugin ls --json"
    said = subprocess.run(
        ["bash", "-c", f"{steps[0]} && {ask} && {steps[2]} && echo left"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    stacks, rest = said.stdout.split("---")
    assert STACK in [one["name"].split("/")[-1] for one in json.loads(stacks)]
    plugins = json.loads(rest.rsplit("left", 1)[0])
    assert {one["name"] for one in plugins} >= {plugin.name for plugin in PLUGINS}
    capsys.readouterr()
