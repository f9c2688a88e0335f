"""One running CaaS stand-in for a test: the real HTTP server in a thread, and a way to call it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests

from localcloud.caas.clock import BillingClock
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.http.server import create_app, server
from localcloud.caas.quirks import Quirks
from localcloud.caas.runtime.runtime import ContainerRuntime
from localcloud.caas.settings import Settings

API_KEY = "io-v2-test-key"
ENTERPRISE = "/enterprise/v1/io-cloud/caas"
PUBLIC = "/v1/io-cloud/caas"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], *, within_s: float = 60.0) -> Found:
    """Call until it returns something true, and return that; fail with the last value."""
    end = time.monotonic() + within_s
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < end, f"not within {within_s} s; last seen: {found!r}"
        pause.wait(0.02)
    return found


class MovableTime:
    """The wall clock, moved by tests."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def advance(self, **by: float) -> None:
        self._offset += timedelta(**by)


class CaasPlace:
    """Starts, stops and restarts the service; state is in `folder`, containers in the runtime."""

    def __init__(
        self,
        folder: Path,
        runtime: ContainerRuntime,
        *,
        quirks: Quirks | None = None,
        **settings: Any,
    ) -> None:
        self.database = folder / "caas.sqlite3"
        self.time = MovableTime()
        self._runtime = runtime
        self._quirks = quirks
        self._settings = {
            "api_key": API_KEY,
            "database": self.database,
            "place_id": "test",
            "network": "none",
            "reconcile_period_s": 0.02,
            "restart_delay_s": 0.0,
            **settings,
        }
        self.start()

    def start(self) -> None:
        settings = Settings(**self._settings)
        app = create_app(
            settings,
            self._runtime,
            quirks=self._quirks,
            clock=BillingClock(settings.clock_speed, now=self.time),
        )
        self.cloud: Cloud = app.state.cloud  # what the service itself knows, whatever it answers
        self._server = server(app, host="127.0.0.1", port=0)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def call(
        self, method: str, path: str, *, key: str = API_KEY, token: str = "", **kwargs: Any
    ) -> Any:
        """Call a path; `path` starts with / or is below the enterprise base."""
        full = path if path.startswith("/") else f"{ENTERPRISE}/{path}"
        return requests.request(
            method,
            self.url + full,
            headers={"x-api-key": key, "token": token},
            timeout=kwargs.pop("timeout", 20),
            **kwargs,
        )

    def behave(self, **changes: Any) -> None:
        """Set switches while it runs."""
        answer = self.call("POST", "/_local/behaviours", json=changes)
        assert answer.status_code == 200, answer.text

    def deploy(self, name: str = "run", **changes: Any) -> str:
        """Deploy and return the id."""
        answer = self.call("POST", "deploy", json=deploy_body(name, **changes))
        assert answer.status_code == 200, answer.text
        return answer.json()["deployment_id"]

    def details(self, deployment_id: str) -> dict[str, Any]:
        return self.call("GET", f"deployment/{deployment_id}").json()["data"]

    def workers(self, deployment_id: str) -> list[dict[str, Any]]:
        return self.call("GET", f"deployment/{deployment_id}/containers").json()["data"]["workers"]

    def until(self, deployment_id: str, status: str) -> dict[str, Any]:
        """Wait for a status and return the details."""

        def look() -> dict[str, Any] | None:
            details = self.details(deployment_id)
            return details if details["status"] == status else None

        return eventually(look)


def deploy_body(name: str = "run", **changes: Any) -> dict[str, Any]:
    """Return a request that works; changes go to the level that has the member."""
    container: dict[str, Any] = {
        "replica_count": 1,
        "traffic_port": 8000,
        "env_variables": {"RUN_NAME": "main"},
        "secret_env_variables": {"STORE_SECRET": "env-secret-planted"},
    }
    registry: dict[str, Any] = {
        "image_url": "example/train:1",
        "registry_username": "puller",
        "registry_secret": "registry-secret-planted",
    }
    body: dict[str, Any] = {
        "resource_private_name": name,
        "duration_hours": 1,
        "gpus_per_container": 1,
        "hardware_id": 12,
        "location_ids": [2],
        "container_config": container,
        "registry_config": registry,
    }
    for member, value in changes.items():
        level = registry if member in registry else body if member in body else container
        level[member] = value
    return body
