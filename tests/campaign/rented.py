"""One run on one rented container: its bucket, its lines that can fail, what its containers say."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from components.ionet import market
from components.ionet.deployment import ENTRYPOINT, TRAFFIC_PORT
from components.ionet.models import DeployRequest
from components.ionet.offers import Wish
from components.ionet.rental.give_back import give_back
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import VerdictReader
from container.contract.keys import stopped_key
from container.contract.records import Manifest, Verdict
from container.storage.bucket import RunBucket
from localcloud.caas.runtime.containers import DEPLOYMENT_LABEL, PLACE_LABEL
from localcloud.object_store.faults import FaultyStore
from tests.campaign.cloud import NAME_PREFIX, Cloud, remove_bucket
from tests.campaign.started import LONGEST_S, POLL_S, Started

# The optimizer's file is two parts of an upload; a step takes about 0.2 s.
SETTINGS: dict[str, int] = {
    "depth": 3,
    "max_seq_len": 64,
    "vocab_size": 9600,
    "shards": 1,
    "total_batch_size": 1024,
    "num_iterations": 60,
    "save_every": 20,
    "eval_every": 60,
    "sft_iterations": 20,
    "sft_save_every": 10,
    "eval_problems": 4,
    "threads": 1,
}
INTERVALS = {"base": SETTINGS["save_every"], "sft": SETTINGS["sft_save_every"]}


class Run:
    """One run: rented over HTTP, started again by the vendor when it exits, given back at the end.

    Its S3 and its data set mirror stand behind proxies of its own.
    """

    def __init__(
        self,
        cloud: Cloud,
        name: str,
        *,
        logs: Path,
        seed: int,
        patient: bool,
        interrupted: threading.Event,
    ) -> None:
        self.name = name
        self.patient = patient
        self._interrupted = interrupted
        self.started: list[Started] = []
        self.deployments: list[str] = []
        self._by_hand: list[Any] = []
        place = cloud.place
        self.store = FaultyStore(place.s3_url, host=place.gateway, seed=seed)
        self.mirror = FaultyStore(place.mirror_url, host=place.gateway, seed=seed)
        self._cloud = cloud
        self._logs = logs
        self._caas = cloud.caas()
        self._engine = cloud.engine()
        self._client = cloud.s3()
        self.bucket = RunBucket(
            self._client, name=f"{NAME_PREFIX}{secrets.token_hex(4)}", prefix="dev-main-0"
        )

    def __enter__(self) -> Run:
        self._client.create_bucket(Bucket=self.bucket.name)
        self.store.start()
        self.mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end_by_hand()
            self.give_back()
        finally:
            self.store.stop()
            self.mirror.stop()
            self._keep_logs()
            remove_bucket(self._client, self.bucket.name)
            self._engine.close()

    def rent(
        self, *, env: Mapping[str, str] | None = None, entrypoint: tuple[str, ...] = ENTRYPOINT
    ) -> Started:
        """Rent a container and return it when it has started."""
        place, number = self._cloud.place, len(self.deployments)
        wish = Wish(gpu_type="CPU", gpus=1, locations=(), hours=1)
        offer = market.chosen(market.quote(self._caas, wish, cap_usd=Decimal(1)))[1]
        found = self._caas.deploy(
            DeployRequest(
                private_name=f"{self.bucket.name}-{number}",
                duration_hours=wish.hours,
                gpus_per_container=wish.gpus,
                hardware_id=offer.hardware_id,
                location_ids=offer.location_ids,
                image=self._cloud.image,
                entrypoint=entrypoint,
                traffic_port=TRAFFIC_PORT,
                env={**self.environment(), **(env or {})},
                secret_env={
                    "R2_ACCESS_KEY_ID": place.operator_token_id,
                    "R2_SECRET_ACCESS_KEY": place.operator_s3_secret,
                },
                registry_username=place.registry_username,
                registry_secret=place.registry_secret,
            )
        )
        assert found, "the CaaS rented something and gave no id"
        self.deployments.append(found)
        return self.next_container()

    def environment(self) -> dict[str, str]:
        """Return what the container is told, without secrets."""
        return {
            "RUN_NAME": "main",
            "RUN_PREFIX": self.bucket.prefix,
            "RECIPE": "rehearsal",
            "RECIPE_SETTINGS": json.dumps(SETTINGS),
            "R2_ENDPOINT": self.store.url,
            "R2_BUCKET": self.bucket.name,
            "DATASET_MIRROR_URL": self.mirror.url,
            "TRAFFIC_PORT": str(TRAFFIC_PORT),
        }

    def next_container(self) -> Started:
        """Wait for a container that was not there before, and follow what it says."""
        known = {one.container.id for one in self.started}

        def look() -> Any:
            found = [one for one in self._containers() if one.id not in known]
            # Of one that is only created the log ends at once.
            return next((one for one in found if one.status != "created"), None)

        return self._follow(self.until(look, what="a container is started"))

    def start_by_hand(self, *, disk_bytes: int) -> Started:
        """Start a container on a disk of a size of its own, which no vendor offers."""
        place = self._cloud.place
        secret = {
            "R2_ACCESS_KEY_ID": place.operator_token_id,
            "R2_SECRET_ACCESS_KEY": place.operator_s3_secret,
        }
        container = self._engine.containers.run(
            self._cloud.image,
            detach=True,
            network=place.network,
            environment={**self.environment(), **secret},
            labels={PLACE_LABEL: place.place_id, DEPLOYMENT_LABEL: self.bucket.name},
            tmpfs={"/workspace": f"size={disk_bytes}"},
        )
        self._by_hand.append(container)
        return self._follow(container)

    def end_by_hand(self) -> None:
        """Remove what was started by hand, with its disk."""
        while self._by_hand:
            self._by_hand.pop().remove(force=True, v=True)

    def let_pass(self) -> None:
        """Let what was held go: of a machine that is lost nothing arrives, of others all."""
        for proxy in (self.store, self.mirror):
            if proxy.faults.hold is not None:
                proxy.faults.hold.released.set()
                proxy.faults.hold = None

    def verdict(self, *, within_s: float = LONGEST_S) -> Verdict:
        """Wait for the verdict."""
        raw = self.there("verdict.json", within_s=within_s)
        return Verdict.from_json(raw)

    def stopped(self) -> Verdict:
        """Return the verdict of the first attempt, wherever it is: the vendor starts another."""
        found: list[bytes] = []

        def look() -> bool:
            for key in (stopped_key(1), "verdict.json"):
                raw = self.bucket.get(key)
                if raw is not None:
                    found.append(raw)
            return bool(found)

        self.until(look, what="the verdict stopped")
        return Verdict.from_json(found[0])

    def goes_on(self) -> None:
        """Wait until a next container has set the verdict `stopped` of the first aside."""

        def look() -> bool:
            raw = self.bucket.get("verdict.json")
            stands = raw is not None and Verdict.from_json(raw).outcome == "stopped"
            return self.bucket.head(stopped_key(1)) is not None and not stands

        self.until(look, what="the run goes on")

    def manifest(self) -> Manifest:
        return Manifest.from_json(self.bucket.get("manifest.json") or b"")

    def there(self, key: str, *, within_s: float = LONGEST_S) -> bytes:
        """Wait for an object and return it; fail when the run ends without it."""

        def look() -> bool:
            return self.bucket.get(key) is not None or self.is_over()

        self.until(look, what=key, within_s=within_s)
        found = self.bucket.get(key)
        assert found is not None, f"it ended without {key}\n{self.story()}"
        return found

    def is_over(self) -> bool:
        """Whether there is a verdict."""
        return self.bucket.head("verdict.json") is not None

    def story(self) -> str:
        """Return the end of what each container said."""
        return "\n".join(
            f"--- container {number}\n" + "\n".join(one.lines[-60:])
            for number, one in enumerate(self.started, 1)
        )

    def set_verdict_aside(self, verdict: Verdict) -> None:
        """Let a stopped run go on, as the program does before it rents for it again."""
        place = self._cloud.place
        access = S3Access(
            access_key_id=place.operator_token_id, secret_access_key=place.operator_s3_secret
        )
        reader = VerdictReader(access, endpoint=place.s3_url, bucket=self.bucket.name)
        reader.set_aside_verdict(verdict, prefix=self.bucket.prefix)

    def open_uploads(self) -> list[str]:
        """Return the keys of multipart uploads that are neither complete nor aborted."""
        answer = self._client.list_multipart_uploads(Bucket=self.bucket.name)
        return [one.get("Key", "") for one in answer.get("Uploads", [])]

    def give_back(self) -> None:
        """Destroy what is rented; nothing of it may be left at the vendor or in the engine."""
        for deployment_id in self.deployments:
            give_back(self._caas, deployment_id)
        left = self._containers()
        self.deployments.clear()
        assert not left, f"a container outlived its deployment: {left}"

    def until(self, condition: Callable[[], Any], *, what: str, within_s: float = LONGEST_S) -> Any:
        """Return the condition's value as soon as it is true."""
        deadline = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{self.story()}"
            assert not self._interrupted.wait(POLL_S), "interrupted"
        return found

    def _follow(self, container: Any) -> Started:
        self.started.append(Started(container, self._interrupted))
        return self.started[-1]

    def _containers(self) -> list[Any]:
        found: list[Any] = []
        for deployment_id in self.deployments:
            label = f"{DEPLOYMENT_LABEL}={deployment_id}"
            found += self._engine.containers.list(
                all=True, filters={"label": label}, ignore_removed=True
            )
        return found

    def _keep_logs(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(self.started, 1):
            (self._logs / f"{self.name}-{number}.log").write_text(one.log)
