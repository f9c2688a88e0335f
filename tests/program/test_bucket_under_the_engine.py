"""The bucket's own declaration under the real engine, with Cloudflare in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.localcloud.pulumi.plugins.cloudflare_double import ACCOUNT, CloudflareDouble
from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

pytestmark = pytest.mark.engine

DECLARING = f"""
    import os
    from types import SimpleNamespace

    import pulumi

    from components.artifact_store import ArtifactStore, find_or_make_bucket
    from components.r2.cloudflare import Client

    client = Client(
        "cfat_PLANTED", account_id="{ACCOUNT}", base_url=os.environ["CLOUDFLARE_BASE_URL"]
    )
    found = find_or_make_bucket(
        client, "runs", jurisdiction="default", dry_run=pulumi.runtime.is_dry_run()
    )
    settings = SimpleNamespace(account_id="{ACCOUNT}", bucket="runs", jurisdiction="default")
    ArtifactStore("artifacts", settings=settings, found=found)
"""


def test_a_bucket_whose_storage_class_somebody_changed_stays_as_it_is(tmp_path: Path) -> None:
    """R2 is reported to answer 405 to a PATCH (Alos-no/Cloudflare.NET, pull request 41)."""
    with CloudflareDouble() as vendor:
        project = ScratchProject(
            tmp_path, CLOUDFLARE_BASE_URL=vendor.url, CLOUDFLARE_API_TOKEN="cfat_PLANTED"
        )
        project.program(DECLARING)
        assert "1 imported" in project.up()
        project.up("--expect-no-changes")

        vendor.buckets["default", "runs"]["storage_class"] = "InfrequentAccess"
        project.up("--expect-no-changes")
        project.refresh()
        project.up("--expect-no-changes")
        assert not [call for call in vendor.calls() if call.startswith("PATCH")]
        project.pulumi("destroy", "--yes", "--skip-preview")
        assert ("default", "runs") in vendor.buckets
        assert "1 imported" in project.up(), "of another class than a new one has"
