"""Serves the stand-in for Cloudflare's API: `python -m localcloud.cloudflare_api --help`."""

from __future__ import annotations

import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from localcloud.cloudflare_api.app import Account, create_app
from localcloud.cloudflare_api.buckets import Buckets
from localcloud.cloudflare_api.identities import IdentityKeeper, WeedIdentities
from localcloud.cloudflare_api.store import Store
from localcloud.place import ACCOUNT_ID


def main(
    s3_endpoint: Annotated[str, typer.Option(help="The S3 server's address.")],
    weed_master: Annotated[str, typer.Option(help="Its master, as host:port.grpcport.")],
    weed_filer: Annotated[str, typer.Option(help="Its filer, as host:port.grpcport.")],
    operator_token_id: Annotated[
        str, typer.Option(help="Id of the operator's token; also its S3 access key.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8787,
    db: Annotated[Path, typer.Option(help="SQLite file of tokens and bucket attributes.")] = Path(
        ".local/cloudflare.sqlite3"
    ),
    account_id: Annotated[str, typer.Option(help="The one account's id.")] = ACCOUNT_ID,
) -> None:
    """Serve R2 buckets and account tokens; CLOUDFLARE_API_TOKEN names the operator's token."""
    operator_token = os.environ.get("CLOUDFLARE_API_TOKEN")
    if not operator_token:
        raise SystemExit("cloudflare: CLOUDFLARE_API_TOKEN must hold the operator's token")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    operator_sha256 = sha256(operator_token.encode()).hexdigest()
    store = Store(db)
    app = create_app(
        Account(account_id, operator_token_id, operator_sha256),
        store=store,
        buckets=Buckets(
            store,
            endpoint=s3_endpoint,
            access_key=operator_token_id,
            secret_key=operator_sha256,
        ),
        keeper=IdentityKeeper(
            store,
            WeedIdentities(master=weed_master, filer=weed_filer),
            account_id=account_id,
        ),
    )
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


if __name__ == "__main__":
    typer.run(main)
