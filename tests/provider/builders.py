"""Inputs of a deployment as the program makes them, with defaults."""

from __future__ import annotations

from typing import Any

from tests.provider.fake_r2 import ACCOUNT, BUCKET

IDENTITY = "1a2b3c4d"
PREFIX = f"dev-main-{IDENTITY}-deadbeef"
NAME = f"trainstack-dev-main-{IDENTITY}-cafe0001"
SECRETS = {
    "accessKeyId": "planted-access-key",
    "secretAccessKey": "planted-secret-key",
    "accessToken": "planted-chat-token",
    "registrySecret": "planted-registry-secret",
}


def deployment(r2_url: str, **changes: Any) -> dict[str, Any]:
    """Return complete inputs of a CaasDeployment, without the offer that check adds."""
    props: dict[str, Any] = {
        "cloud": "local",
        "project": "trainstack",
        "stack": "dev",
        "renew": 0.0,
        "accountId": ACCOUNT,
        "privateName": NAME,
        "namePrefix": f"trainstack-dev-main-{IDENTITY}-",
        "identity": IDENTITY,
        "run": "main",
        "r2Endpoint": r2_url,
        "r2Prefix": PREFIX,
        "bucket": BUCKET,
        "image": f"127.0.0.1:5000/trainstack/rehearsal@sha256:{'0' * 64}",
        "gpuType": "CPU",
        "gpusPerContainer": 1.0,
        "locations": [],
        "durationHours": 1.0,
        "maxCostUsd": 2.0,
        "entrypoint": ["/bin/bash", "/app/container/train_and_upload.sh"],
        "trafficPort": 8000.0,
        "env": {"RUN_NAME": "main", "RUN_PREFIX": PREFIX, "RECIPE": "rehearsal"},
        "credentialsExpireOn": "2999-01-01T00:00:00Z",
        "wandbApiKey": "",
        "registryUsername": "puller",
        **SECRETS,
    }
    return {**props, **changes}
