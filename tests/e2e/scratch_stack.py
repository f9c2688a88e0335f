"""A stack of the real program, with its own name and config file, in the tests' local cloud."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import requests
import yaml
from botocore.config import Config

from tests import ROOT

UP_ENDS_WITHIN_S = 600
ACCOUNT = "0123456789abcdef0123456789abcdef"  # the local cloud's only one
BASE = "/enterprise/v1/io-cloud/caas"


class CommandFailedError(AssertionError):
    """A Pulumi command ended with another exit code than 0; the message is all that it printed."""


class ScratchStack:
    """Runs the engine as a user does; nothing is written into the checkout."""

    def __init__(
        self, name: str, *, env: dict[str, str], folder: Path, config: dict[str, Any]
    ) -> None:
        self.name = name
        self.env = env
        self.config_file = folder / f"Pulumi.{name}.yaml"
        committed = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
        self.settings: dict[str, Any] = committed
        self.configure(**config)

    def configure(self, **config: Any) -> None:
        """Set keys of the namespace `trainstack`; others stay as Pulumi.dev.yaml has them."""
        self.settings["config"].update({f"trainstack:{k}": v for k, v in config.items()})
        self.config_file.write_text(yaml.safe_dump(self.settings))

    def init(self) -> None:
        Path(self.env["PULUMI_BACKEND_URL"].removeprefix("file://")).mkdir(
            parents=True, exist_ok=True
        )
        self.pulumi("stack", "select", "--create", self.name, named=False)
        # The engine writes the stack's salt into the checkout; our own config file has one.
        (ROOT / f"Pulumi.{self.name}.yaml").unlink(missing_ok=True)

    def up(self, *flags: str) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *flags)

    def preview(self, *flags: str) -> str:
        return self.pulumi("preview", *flags)

    def refresh(self, *flags: str) -> str:
        return self.pulumi("refresh", "--yes", "--skip-preview", *flags)

    def destroy(self) -> str:
        return self.pulumi("destroy", "--yes", "--skip-preview")

    def remove(self) -> None:
        """Destroy what a failed test left, and the stack itself; no run is asked to save."""
        self.env = {**self.env, "TRAINSTACK_STOP_WITHIN": "0"}
        self.pulumi("cancel", "--yes", checked=False)
        self.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", checked=False)
        self.pulumi("destroy", "--yes", "--skip-preview", checked=False)
        self.pulumi("stack", "rm", "--yes", "--force", checked=False)

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.pulumi("stack", "output", "--json", "--show-secrets", stderr=False)
        )
        return found

    def pulumi(
        self, *words: str, named: bool = True, checked: bool = True, stderr: bool = True
    ) -> str:
        command = self.command(*words, named=named)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr else subprocess.PIPE,
            text=True,
            timeout=UP_ENDS_WITHIN_S,
            check=False,
        )
        if checked and done.returncode != 0:
            raise CommandFailedError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr or ''}")
        return done.stdout

    def command(self, *words: str, named: bool = True) -> list[str]:
        stack = ["--stack", self.name] if named else []
        file = ["--config-file", str(self.config_file)]
        takes_file = words[0] in {"up", "preview", "refresh", "destroy"}
        return ["pulumi", *words, *stack, *(file if takes_file else []), "--non-interactive"]

    def runs(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / ".venv/bin/python"), "-m", "runs", *words, "--stack", self.name]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**self.env, "COLUMNS": "80", "CLOUDFLARE_ACCOUNT_ID": ACCOUNT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=UP_ENDS_WITHIN_S,
            check=False,
        )


class Cloud:
    """What the vendors say, asked directly."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def live_deployments(self) -> list[str]:
        """Names of the deployments that bill."""
        answer = requests.get(
            self.env["IONET_BASE_URL"] + f"{BASE}/deployments",
            params={"page_size": 100},
            headers={"x-api-key": self.env["IOCLOUD_API_KEY"]},
            timeout=30,
        )
        answer.raise_for_status()
        rows = answer.json()["data"]["deployments"]
        return [r["name"] for r in rows if r["status"] in {"running", "deployment requested"}]

    def age(self, deployment_id: str, *, by: timedelta) -> None:
        """Move one deployment's clock on: so much of its hours is over."""
        answer = requests.post(
            self.env["IONET_BASE_URL"] + f"/_local/deployments/{deployment_id}/age",
            params={"minutes": by.total_seconds() / 60},
            headers={"x-api-key": self.env["IOCLOUD_API_KEY"]},
            timeout=30,
        )
        answer.raise_for_status()

    @contextmanager
    def behaving(self, **changes: Any) -> Iterator[None]:
        """Set io.net's switches, for all stacks of the local cloud, and put them back."""
        before = self._behaviours("GET")
        self._behaviours("POST", changes)
        try:
            yield
        finally:
            self._behaviours("POST", {name: before[name] for name in changes})

    def _behaviours(self, method: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = requests.request(
            method,
            self.env["IONET_BASE_URL"] + "/_local/behaviours",
            json=changes,
            headers={"x-api-key": self.env["IOCLOUD_API_KEY"]},
            timeout=30,
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def tokens(self) -> list[str]:
        """Names of the API tokens that exist, without the operator's own."""
        return [token["name"] for token in self._tokens()]

    def revoke(self, name: str) -> None:
        """Delete the token of that name, as somebody does in Cloudflare's dashboard."""
        (token,) = [token for token in self._tokens() if token["name"] == name]
        answer = requests.delete(
            self.env["CLOUDFLARE_BASE_URL"] + f"/accounts/{ACCOUNT}/tokens/{token['id']}",
            headers={"Authorization": f"Bearer {self.env['CLOUDFLARE_API_TOKEN']}"},
            timeout=30,
        )
        answer.raise_for_status()

    def _tokens(self) -> list[dict[str, Any]]:
        tokens: list[dict[str, Any]] = []
        for page in itertools.count(1):
            answer = requests.get(
                self.env["CLOUDFLARE_BASE_URL"] + f"/accounts/{ACCOUNT}/tokens",
                params={"page": page, "per_page": 50},
                headers={"Authorization": f"Bearer {self.env['CLOUDFLARE_API_TOKEN']}"},
                timeout=30,
            )
            answer.raise_for_status()
            found = answer.json()["result"]
            tokens += found
            if not found:
                break
        return tokens

    def s3(self, *, key_id: str, secret: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.env["R2_ENDPOINT_URL"],
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            region_name="auto",
            config=Config(
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"max_attempts": 2},
            ),
        )

    def operator_s3(self) -> Any:
        token = self.env["CLOUDFLARE_API_TOKEN"]
        answer = requests.get(
            self.env["CLOUDFLARE_BASE_URL"] + f"/accounts/{ACCOUNT}/tokens/verify",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return self.s3(
            key_id=answer.json()["result"]["id"], secret=hashlib.sha256(token.encode()).hexdigest()
        )
