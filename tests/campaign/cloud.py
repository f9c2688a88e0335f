"""What a campaign rents from: the tests' local cloud, with the image in its registry by digest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import docker
import docker.errors

from components.ionet.client import Client
from components.ionet.rental.give_back import give_back_all
from container.transport.r2 import make_client
from localcloud.docker import base_image, daemon
from localcloud.place import Place
from tests import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

TAG = "campaign"
NAME_PREFIX = "campaign-"  # of buckets and deployments
# A container's log is followed for as long as it is silent.
LONGEST_SILENCE_S = 3600.0


@dataclass(frozen=True)
class Cloud:
    """A running local cloud and the image that is rented on it."""

    place: Place
    image: str  # by digest

    def caas(self) -> Client:
        """Return a client of the CaaS, as the program has one."""
        return Client(self.place.ionet_api_key, base_url=self.place.caas_url)

    def engine(self) -> docker.DockerClient:
        """Return a client of the Docker engine, to do what no vendor does."""
        return daemon.connect(timeout_s=LONGEST_SILENCE_S)

    def s3(self) -> S3Client:
        """Return an S3 client that no fault stands in the way of."""
        return make_client(
            endpoint=self.place.s3_url,
            access_key_id=self.place.operator_token_id,
            secret_access_key=self.place.operator_s3_secret,
        )

    def sweep(self) -> None:
        """Give back and delete what a campaign that was killed has left here."""
        give_back_all(self.caas(), NAME_PREFIX, say=print)
        s3 = self.s3()
        for bucket in s3.list_buckets().get("Buckets", []):
            if bucket.get("Name", "").startswith(NAME_PREFIX):
                remove_bucket(s3, bucket.get("Name", ""))


def remove_bucket(s3: S3Client, name: str) -> None:
    """Delete a bucket with all that is in it."""
    for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(
            Bucket=name, Key=upload.get("Key", ""), UploadId=upload.get("UploadId", "")
        )
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=entry.get("Key", ""))
    s3.delete_bucket(Bucket=name)


@contextmanager
def image_in_registry(place: Place) -> Iterator[str]:
    """Build and push the image; yield its reference by digest; take the names away at the end.

    The layers stay, as the engine's cache.
    """
    engine = daemon.connect(timeout_s=900)
    repository = f"{place.registry_server}/trainstack/rehearsal"
    names = [f"{repository}:{TAG}"]
    try:
        engine.images.build(
            path=str(ROOT / "container"),
            target="rehearsal",
            buildargs={"BASE_IMAGE": base_image.TAG},
            tag=names[0],
            rm=True,
        )
        login = {"username": place.registry_username, "password": place.registry_secret}
        digest = ""
        for line in engine.images.push(
            repository, tag=TAG, auth_config=login, stream=True, decode=True
        ):
            assert "error" not in line, f"the push failed: {line['error']}"
            digest = line.get("aux", {}).get("Digest", digest)
        names.append(f"{repository}@{digest}")
        yield names[1]
    finally:
        for name in names:
            with suppress(docker.errors.ImageNotFound):
                engine.images.remove(name, noprune=True)
        engine.close()
