"""How the stand-in for Cloudflare's API is started."""

from __future__ import annotations

import sys
from pathlib import Path

from localcloud.object_store.seaweedfs import weed_addresses
from localcloud.place import ACCOUNT_ID, LOOPBACK, Place
from localcloud.probe import answers
from localcloud.processes import Service


def cloudflare_service(place: Place) -> Service:
    """Declare it; it works on the S3 server of the same place."""
    master, filer = weed_addresses(place)
    here = Path(__file__).resolve().parent
    verify = f"{place.cloudflare_url}/accounts/{ACCOUNT_ID}/tokens/verify"
    return Service(
        name="cloudflare",
        purpose="Cloudflare API (stand-in)",
        address=place.cloudflare_url,
        command=[
            sys.executable,
            "-m",
            "localcloud.cloudflare_api",
            f"--host={LOOPBACK}",
            f"--port={place.ports['cloudflare']}",
            f"--db={place.directory / 'cloudflare.sqlite3'}",
            f"--account-id={ACCOUNT_ID}",
            f"--operator-token-id={place.operator_token_id}",
            f"--s3-endpoint={place.s3_url}",
            f"--weed-master={master}",
            f"--weed-filer={filer}",
        ],
        env={"CLOUDFLARE_API_TOKEN": place.operator_token},
        healthy=lambda: answers(verify, bearer=place.operator_token),
        ports=[place.ports["cloudflare"]],
        sources=[here, here.parent / "object_store/seaweedfs.py"],
    )
