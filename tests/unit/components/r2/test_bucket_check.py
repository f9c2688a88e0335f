"""The installed provider is asked about a bucket before there is one; nothing unclear blocks."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from components.artifact_store import find_or_make_bucket
from components.r2.bucket_check import PROGRAM, require_taken
from components.r2.cloudflare import Client, CloudflareError
from tests import ROOT
from tests.unit.localcloud.pulumi.plugins.cloudflare_double import ACCOUNT, CloudflareDouble
from tests.unit.localcloud.pulumi.scratch_project import LOCAL_SHELL

OLDER = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from localcloud.pulumi.plugins import cloudflare_plugin
cloudflare_plugin.JURISDICTIONS = ("default", "eu", "fedramp")
cloudflare_plugin.main()
"""
"""A provider of before 6.23, to which the jurisdiction `us` is unknown."""

BUCKET = {"accountId": ACCOUNT, "name": "runs", "storageClass": "Standard"}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A shell of the local world, whose stand-ins answer there only."""
    (tmp_path / "bin").mkdir()
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    return {**LOCAL_SHELL, "PATH": path, "PULUMI_HOME": str(tmp_path / "home")}


def install(text: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / PROGRAM
    plugin.write_text(text)
    plugin.chmod(0o755)
    return plugin


@pytest.mark.parametrize("where", ["bin", "home/plugins/resource-cloudflare-v6.23.1"])
def test_a_jurisdiction_that_the_installed_provider_refuses_makes_no_bucket(
    tmp_path: Path, env: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: `us` was refused by a provider of before 6.23, and the bucket was there already."""
    plugin = install(OLDER, tmp_path / where)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with CloudflareDouble() as vendor:
        client = Client("cfat_PLANTED", account_id=ACCOUNT, base_url=vendor.url)
        for dry_run in (True, False):
            with pytest.raises(CloudflareError) as refused:
                find_or_make_bucket(client, "runs", jurisdiction="us", dry_run=dry_run)
            told = str(refused.value)
            assert str(plugin) in told and "must be one of" in told
        assert vendor.buckets == {}

        assert find_or_make_bucket(client, "runs", jurisdiction="eu", dry_run=False)
        assert ("eu", "runs") in vendor.buckets
        plugin.unlink()
        assert find_or_make_bucket(client, "other", jurisdiction="us", dry_run=False)


def test_the_official_providers_sentences_are_one_with_ours(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """A provider that is bridged ends its reason so (seen with the docker one, not configured)."""
    reason = "'us' is none of default, eu. Examine values at 'bucket.jurisdiction'."
    official = OLDER.replace(
        "cloudflare_plugin.main()",
        "def refuse(*_):\n"
        f"    raise cloudflare_plugin.InputError({reason!r}, key='jurisdiction')\n"
        "cloudflare_plugin.R2Bucket.check = refuse\n"
        "cloudflare_plugin.main()",
    )
    install(official, tmp_path / "bin")
    with pytest.raises(CloudflareError) as refused:
        require_taken({**BUCKET, "jurisdiction": "us"}, env=env)
    assert f"refuses it: {reason} One older than 6.23.1 may not know" in str(refused.value)


def test_a_stand_in_refuses_a_paid_bucket_in_its_own_words(
    tmp_path: Path, env: dict[str, str]
) -> None:
    install(OLDER, tmp_path / "bin")
    with pytest.raises(CloudflareError, match=r"stand-in for the cloudflare plugin.* never a paid"):
        paid = {name: value for name, value in env.items() if name not in LOCAL_SHELL}
        require_taken({**BUCKET, "jurisdiction": "default"}, env=paid)


@pytest.mark.parametrize(
    "plugin",
    [
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\necho no port\n",
        "#!/bin/sh\necho 1; sleep 600\n",  # nobody answers at its port
        "#!/bin/sh\nsleep 600\n",
        "no program at all",
    ],
)
def test_a_provider_that_gives_no_clear_answer_blocks_nothing(
    tmp_path: Path, env: dict[str, str], plugin: str
) -> None:
    install(plugin, tmp_path / "bin")
    before = set(psutil.Process().children())  # of the tests that this process ran before
    require_taken({**BUCKET, "jurisdiction": "us"}, env=env, within_s=2)
    assert set(psutil.Process().children()) <= before, "and is ended"


def test_no_provider_at_all_blocks_nothing(env: dict[str, str]) -> None:
    require_taken({**BUCKET, "jurisdiction": "us"}, env=env)


def test_one_on_path_is_not_asked_where_the_engine_does_not_take_it(
    tmp_path: Path, env: dict[str, str]
) -> None:
    install(OLDER, tmp_path / "bin")
    env["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    require_taken({**BUCKET, "jurisdiction": "us"}, env=env)
