"""A real S3 server (SeaweedFS) for the container's tests, on free ports of loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY = "tests-access-key"
SECRET_KEY = "tests-secret-planted-0f3a"  # tests look for this text in pages and logs


@dataclass
class S3Server:
    """A running server; `stop` and `start` imitate an outage, with the data kept."""

    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="auto",
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1},
                connect_timeout=2,
            ),
        )

    def start(self) -> None:
        config = self.folder / "identities.json"
        config.write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "tests",
                            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                        }
                    ]
                }
            )
        )
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        command = [str(Path(sys.executable).parent / "weed"), f"-logdir={self.folder}", "mini"]
        command += [f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false"]
        command += ["-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-s3.config={config}", "-master.volumeSizeLimitMB=64"]
        command += [f"-{name}={port}" for name, port in self.ports.items()]
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + 60
        client = self.client()
        while True:
            try:
                client.list_buckets()
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(f"weed did not start: {error}") from error
                time.sleep(0.05)  # polls a condition

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server until the block ends."""
    names = ["s3.port", "master.port", "filer.port", "volume.port", "admin.port"]
    names += ["s3.port.grpc", "master.port.grpc", "filer.port.grpc", "volume.port.grpc"]
    names += ["admin.port.grpc"]
    server = S3Server(folder=folder, ports=dict(zip(names, _free_ports(len(names)), strict=True)))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
