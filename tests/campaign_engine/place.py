"""Where one story plays: its own vendor, bucket, checkout, backends; proxies before the vendors.

The object store, the Cloudflare API, the registry and the daemon are the local cloud's, shared.
"""

from __future__ import annotations

import itertools
import json
import secrets
import shutil
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests
import yaml

from components.ledger.page import FOLDER, Page
from container.transport.r2 import make_client
from localcloud.place import ACCOUNT_ID, Place
from tests import ROOT
from tests.campaign_engine import processes
from tests.campaign_engine.account import Account
from tests.campaign_engine.charges import Charges
from tests.campaign_engine.fault_proxy import Answer, FaultProxy
from tests.campaign_engine.faults import (
    TOKEN_MADE,
    Action,
    Call,
    EndMachines,
    Interrupt,
    Kill,
    Lag,
    Price,
)
from tests.campaign_engine.planted import Planted
from tests.campaign_engine.story import Machines

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET_PREFIX: Final = "engine-campaign-"
TOKEN_PREFIX: Final = "trainstack-ec"
CHECKOUT: Final = ("__main__.py", "Pulumi.yaml", "components", "container", "runs")
EARLIER: Final = "another-project/precious.bin"  # was in the bucket before the story began
WITHIN_S: Final = 30
NOBODY: Final = "http://127.0.0.1:9/told/0f5c2b1e77"  # no port answers there
STOP_WITHIN: Final = "20s"  # a stand-in for a machine sees an order within a second or two


class StoryPlace:
    """Everything that a story may break, made for it and removed with it."""

    def __init__(
        self,
        place: Place,
        world: Mapping[str, str],
        *,
        folder: Path,
        config: Mapping[str, Any],
        quirks: Mapping[str, Any],
        bucket_exists: bool,
        machines: Machines | None = None,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        self.checkout = folder / "checkout"
        self.backends = folder / "backends"
        self.logs = folder / "logs"
        self.stack = f"ec{secrets.token_hex(4)}"
        self.bucket = f"{BUCKET_PREFIX}{self.stack}"
        self.bucket_exists = bucket_exists
        self.changes_are_refused = quirks.get("update", "done") != "done"
        self._place = place
        self._world = dict(world)
        self.planted = Planted()
        self.terminals: list[int] = []  # process groups of the commands that run now
        self.ended_machines = 0  # by others
        self.abandoned = threading.Event()
        self.own_key = f"io-v2-{secrets.token_hex(16)}"
        self.other_key = f"io-v2-{secrets.token_hex(16)}"
        self.planted_secrets: dict[str, str] = {
            "io.net key": self.own_key,
            "io.net key of another account": self.other_key,
            "operator's Cloudflare token": place.operator_token,
            "operator's S3 secret": place.operator_s3_secret,
            "registry secret": place.registry_secret,
            "address of who is told": NOBODY,
        }
        for made in (self.checkout, self.backends, self.logs):
            made.mkdir(parents=True)
        self.account, self.other = (
            Account(
                folder / name,
                key=key,
                endpoint=place.s3_url,
                quirks=dict(quirks),
                machines=machines,
            )
            for name, key in (("account", self.own_key), ("other-account", self.other_key))
        )
        self.charges = Charges(self.account)
        self._proxies = {
            "ionet": FaultProxy("ionet", self._of_key, **self._wired()),
            "cloudflare": FaultProxy("cloudflare", lambda _: place.cloudflare_url, **self._wired()),
            "bucket": FaultProxy("bucket", lambda _: place.s3_url, **self._wired()),
        }
        self._make_checkout(config)
        if bucket_exists:
            self._cloudflare("POST", "/r2/buckets", json={"name": self.bucket})
            self.s3().put_object(Bucket=self.bucket, Key=EARLIER, Body=b"precious")

    def environment(self, *, backend: str, other_account: bool = False) -> dict[str, str]:
        """Return a user's environment, with the proxies for vendors."""
        folder = self.backends / backend
        folder.mkdir(exist_ok=True)
        own = str(self.checkout / ".venv" / "bin")
        return {
            **self._world,
            "PATH": f"{own}:{self._world['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_STACK": self.stack,
            "IONET_BASE_URL": self._proxies["ionet"].url,
            "IOCLOUD_API_KEY": self.other_key if other_account else self.own_key,
            "IONET_API_KEY": "",  # the world's: a second name with another key is refused
            "CLOUDFLARE_BASE_URL": f"{self._proxies['cloudflare'].url}/client/v4",
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "R2_ENDPOINT_URL": self._proxies["bucket"].url,
            "TRAINSTACK_STOP_WITHIN": STOP_WITHIN,
        }

    @property
    def config_file(self) -> Path:
        return self.checkout / f"Pulumi.{self.stack}.yaml"

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change keys of the stack's config file, as an editor does."""
        content = yaml.safe_load(self.config_file.read_text())
        content["config"].update({f"trainstack:{key}": value for key, value in changes.items()})
        self.config_file.write_text(yaml.safe_dump(content))

    def configured(self, key: str) -> Any:
        return yaml.safe_load(self.config_file.read_text())["config"].get(f"trainstack:{key}")

    def lock_is_left(self, backend: str) -> bool:
        """Say whether a dead engine left its lock; a living one holds it."""
        locks = list((self.backends / backend / ".pulumi" / "locks").rglob("*.json"))
        return bool(locks) and not processes.engines(self.backends)

    def perform(self, action: Action) -> None:
        """Do to this place what a fault says."""
        match action:
            case Kill(role=role):
                processes.kill(self.backends, role)
            case Interrupt(times=times):
                for _ in range(times):
                    for terminal in self.terminals:
                        processes.interrupt(terminal)
                    threading.Event().wait(0.3)
            case Price(factor=factor):
                self.account.behave(price_factor=factor)
                self.charges.price_moved()
            case Lag(for_s=seconds):
                self.account.behave(list_delay_s=seconds)
            case EndMachines(how=how):
                end = {
                    "given back": self.account.give_back_all,
                    "lost": self.account.lose_all,
                    "over": self.account.let_hours_run_out,
                }[how]
                self.ended_machines += len(end())

    def make_clean(self) -> None:
        """Take every fault away, prices too; what is on its way lands in its own time."""
        self.planted.clean()
        self.perform(Price(1))

    def abandon(self) -> None:
        """End what is under way at once; whoever plays here breaks off."""
        self.abandoned.set()
        for proxy in self._proxies.values():
            proxy.ended.set()
        processes.kill(self.backends, "all")

    def settle(self) -> bool:
        """Wait until what was on its way has landed and what was to end has ended."""
        landed = self.planted.settle()
        return self.account.ended() and landed

    def s3(self) -> S3Client:
        """Return the operator's client, with no fault in its way."""
        return make_client(
            endpoint=self._place.s3_url,
            access_key_id=self._place.operator_token_id,
            secret_access_key=self._place.operator_s3_secret,
        )

    def keys(self) -> set[str]:
        """Return every key in the bucket; none when there is no bucket."""
        s3 = self.s3()
        if self.bucket not in {one.get("Name") for one in s3.list_buckets().get("Buckets", [])}:
            return set()
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {one.get("Key", "") for page in pages for one in page.get("Contents", [])}

    def pages(self) -> list[Page]:
        """Return the ledger: a page for each run that was ever rented for."""
        s3, found = self.s3(), sorted(key for key in self.keys() if key.startswith(FOLDER))
        bodies = (s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in found)
        return [Page.from_json(body) for body in bodies]

    def tokens(self) -> list[str]:
        """Return the names of Cloudflare's tokens that bear the stack's name."""
        return [one["name"] for one in tokens(self._place) if self.stack in one["name"]]

    def close(self) -> None:
        """End all processes and machines of the story; remove its bucket, tokens and checkout."""
        for _ in range(3):
            processes.kill(self.backends, "all")
        for proxy in self._proxies.values():
            proxy.stop()
        self.account.close()
        self.other.close()
        sweep(self._place, bucket=self.bucket, token_part=self.stack)
        shutil.rmtree(self.checkout, ignore_errors=True)

    def _make_checkout(self, config: Mapping[str, Any]) -> None:
        """Copy the program: a story may change it, and its config file lies beside it."""
        for name in CHECKOUT:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, self.checkout / name, ignore=ignored)
            else:
                shutil.copy(source, self.checkout / name)
        (self.checkout / ".venv").symlink_to(ROOT / ".venv")
        self.config_file.write_text((ROOT / "Pulumi.dev.yaml").read_text())
        self.configure({**config, "bucket": self.bucket})

    def _wired(self) -> dict[str, Any]:
        return {"planted": self.planted, "perform": self.perform, "observe": self._observe}

    def _observe(self, call: Call, answer: Answer) -> None:
        if TOKEN_MADE.include(call) and answer.status == 200:
            value = json.loads(answer.body)["result"]["value"]
            number = len(self.planted_secrets)
            self.planted_secrets[f"run's Cloudflare token ({number})"] = value
            self.planted_secrets[f"run's S3 secret ({number})"] = sha256(value.encode()).hexdigest()
        self.charges.observe(call, answer)

    def _of_key(self, headers: Mapping[str, str]) -> str:
        return self.other.url if headers.get("x-api-key") == self.other_key else self.account.url

    def _cloudflare(self, method: str, path: str, **more: Any) -> Any:
        return cloudflare(self._place, method, path, **more)


def cloudflare(place: Place, method: str, path: str, **more: Any) -> Any:
    """Ask the Cloudflare API directly; return its result."""
    answer = requests.request(
        method,
        f"{place.cloudflare_url}/accounts/{ACCOUNT_ID}{path}",
        headers={"Authorization": f"Bearer {place.operator_token}"},
        timeout=WITHIN_S,
        **more,
    )
    answer.raise_for_status()
    return answer.json()["result"]


def tokens(place: Place) -> list[dict[str, Any]]:
    """Return every API token but the operator's."""
    listed: list[dict[str, Any]] = []
    for page in itertools.count(1):
        found = cloudflare(place, "GET", "/tokens", params={"page": page, "per_page": 50})
        listed += found
        if not found:
            break
    return listed


def sweep(place: Place, *, bucket: str = BUCKET_PREFIX, token_part: str = TOKEN_PREFIX) -> None:
    """Delete the buckets and tokens of stories: of one, or of all that ever were here."""
    s3 = make_client(
        endpoint=place.s3_url,
        access_key_id=place.operator_token_id,
        secret_access_key=place.operator_s3_secret,
    )
    for one in s3.list_buckets().get("Buckets", []):
        name = one.get("Name", "")
        if name.startswith(bucket):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
                for entry in page.get("Contents", []):
                    s3.delete_object(Bucket=name, Key=entry.get("Key", ""))
            cloudflare(place, "DELETE", f"/r2/buckets/{name}")
    for token in tokens(place):
        if token_part in token["name"]:
            cloudflare(place, "DELETE", f"/tokens/{token['id']}")
