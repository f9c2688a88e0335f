"""`python -m benchmarks.our_upload FOLDER BUCKET PREFIX`: the container's upload as a program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from container.contract.clock import Clock
from container.storage.bucket import RunBucket
from container.storage.upload_queue import Batch, UploadQueue
from container.transport.r2 import make_client


def main(folder: str, bucket: str, prefix: str) -> None:
    """Upload every file of a folder; keys from the environment, as the others take them."""
    client = make_client(
        endpoint=os.environ["R2_ENDPOINT_URL"],
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    upload_queue = UploadQueue(
        RunBucket(client, name=bucket, prefix=prefix),
        clock=Clock(),
        say=lambda line: print(line, file=sys.stderr),
    )
    upload_queue.start()
    files = [(path, path.name) for path in sorted(Path(folder).iterdir())]
    upload_queue.add(Batch(name="benchmark", files=files))
    upload_queue.wait_empty()
    upload_queue.stop()
    if len(upload_queue.artifacts) != len(files):
        raise SystemExit(f"{len(files) - len(upload_queue.artifacts)} files did not arrive")


if __name__ == "__main__":
    main(*sys.argv[1:])
