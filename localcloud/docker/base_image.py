"""The local cloud's base image, `trainstack-base:bookworm`: Debian 12, Python, this machine's CAs.

From `debian:bookworm-slim` where its registry is reachable, else from Debian packages. What is
trusted here (a TLS proxy, say) is trusted in it, so that apt and pip work in a build.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, ImageNotFound

from localcloud.docker import daemon, debian
from localcloud.docker.apt_sources import bookworm_sources, proxy_options
from localcloud.errors import LocalCloudError
from localcloud.file_lock import alone
from localcloud.place import cache_folder

TAG = "trainstack-base:bookworm"
UPSTREAM = "debian:bookworm-slim"
PACKAGES = ("ca-certificates", "python3")
LABEL = "trainstack.base"
RECIPE = 2  # raise it when the way the image is made changes
PULL_TIMEOUT_S = 60
REGISTRY_ANSWER_S = 8
BUILD_TIMEOUT_S = 900
CA_FOLDER = "usr/local/share/ca-certificates"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ENVIRONMENT = {
    # pip brings a CA list of its own; this makes it, and every OpenSSL, use the system's.
    "SSL_CERT_FILE": BUNDLE,
    "REQUESTS_CA_BUNDLE": BUNDLE,
    "PIP_CERT": BUNDLE,
}

Report = Callable[[str], None]
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def ensure_base_image(report: Report, *, cancelled: threading.Event | None = None) -> str:
    """Make the base image exist in the Docker daemon; return how it came ("found", "pulled", ...).

    The same sources, certificates and recipe give no second build: the image carries their hash.
    """
    certificates = host_certificates()
    sources = bookworm_sources()
    wanted = _wanted(certificates, sources)
    cache = cache_folder() / "base-image"
    with alone(cache / "lock"):  # two checkouts starting at once make it once
        client = daemon.connect(timeout_s=BUILD_TIMEOUT_S)
        try:
            if _label(client) == wanted:
                return "found"
            tarball = cache / f"{wanted}.tar"
            if tarball.exists():
                _import(client, tarball, wanted)
                return "from this user's cache"
            if _pull(client, cancelled or threading.Event()):
                _build_on_upstream(client, certificates, wanted)
                return f"on {UPSTREAM}"
            report(f"base image: no registry has {UPSTREAM} for us; making it of Debian packages")
            _bootstrap(tarball, certificates, sources)
            _import(client, tarball, wanted)
            return "made of Debian packages"
        finally:
            client.close()


def host_certificates() -> dict[str, str]:
    """Return the CA certificates that this machine trusts beyond Debian's own: file name -> PEM."""
    bundled = {
        _body(pem)
        for path in Path("/usr/share/ca-certificates").rglob("*.crt")
        for pem in _PEM.findall(path.read_text(errors="replace"))
    }
    paths = sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt"))
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
    paths += [Path(os.environ[name]) for name in names if os.environ.get(name)]
    paths.append(Path(BUNDLE))
    certificates: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            continue
        for pem in _PEM.findall(path.read_text(errors="replace")):
            body = _body(pem)
            if body not in bundled:
                certificates[f"host-{sha256(body.encode()).hexdigest()[:16]}.crt"] = pem + "\n"
    return dict(sorted(certificates.items()))


def _wanted(certificates: dict[str, str], sources: str) -> str:
    parts = [str(RECIPE), *PACKAGES, sources, *certificates.values()]
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


def _label(client: docker.DockerClient) -> str | None:
    try:
        return client.images.get(TAG).labels.get(LABEL)
    except ImageNotFound:
        return None


def _pull(client: docker.DockerClient, cancelled: threading.Event) -> bool:
    """Pull the upstream image; False when it cannot be had soon (no network, no registry)."""
    try:
        client.images.get(UPSTREAM)
        return True
    except ImageNotFound:
        pass
    # The daemon may wait minutes for a registry that a firewall swallows: ask whether it answers.
    if not _within(REGISTRY_ANSWER_S, lambda: client.images.get_registry_data(UPSTREAM), cancelled):
        return False
    return _within(PULL_TIMEOUT_S, lambda: client.images.pull(UPSTREAM), cancelled)


def _within(seconds: float, call: Callable[[], object], cancelled: threading.Event) -> bool:
    """Tell whether a call of the daemon worked in time; one that hangs is left behind."""
    worked = threading.Event()

    def attempt() -> None:
        try:
            call()
        except (APIError, OSError):
            return
        worked.set()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline and not cancelled.is_set():
        thread.join(0.1)
    return worked.is_set()


def _build_on_upstream(
    client: docker.DockerClient, certificates: dict[str, str], wanted: str
) -> None:
    install = f"apt-get install -y -q --no-install-recommends {' '.join(PACKAGES)}"
    forget = "rm -rf /var/lib/apt/lists/*"
    lines = [
        f"FROM {UPSTREAM}",
        # Certificates first would need the package; Debian's own mirrors are signed, not TLS.
        f"COPY certificates/ /{CA_FOLDER}/",
        f"RUN apt-get update -q && {install} && update-ca-certificates && {forget}",
        *(f"ENV {name}={value}" for name, value in ENVIRONMENT.items()),
        f"LABEL {LABEL}={wanted}",
    ]
    files = {"Dockerfile": "\n".join(lines) + "\n", "certificates/.keep": ""}
    files |= {f"certificates/{name}": pem for name, pem in certificates.items()}
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    context.seek(0)
    try:
        client.images.build(fileobj=context, custom_context=True, tag=TAG, rm=True, forcerm=True)
    except (BuildError, APIError) as error:
        raise LocalCloudError(
            f"the base image could not be built on {UPSTREAM}: {error}. See that "
            f"`docker run --rm {UPSTREAM} apt-get update` works"
        ) from error


def _bootstrap(tarball: Path, certificates: dict[str, str], sources: str) -> None:
    """Write a root file system of Debian packages into `tarball`, whole or not at all."""
    if shutil.which("mmdebstrap") is None:
        debian.install("mmdebstrap", "debian-archive-keyring")
    draft = tarball.with_suffix(".part.tar")
    with tempfile.TemporaryDirectory() as scratch:
        source_file = Path(scratch) / "bookworm.sources"
        source_file.write_text(sources)
        certificate_folder = Path(scratch) / "certificates"
        certificate_folder.mkdir()
        for name, pem in certificates.items():
            (certificate_folder / name).write_text(pem)
        command = [
            "mmdebstrap",
            "--variant=apt",
            f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
            f"--include={','.join(PACKAGES)}",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            '--aptopt=Acquire::Retries "3"',
            *(f"--aptopt={option}" for option in proxy_options()),
            f"--customize-hook=copy-in {certificate_folder}/. /{CA_FOLDER}"
            if certificates
            else "--customize-hook=true",
            '--customize-hook=chroot "$1" update-ca-certificates',
            '--customize-hook=rm -rf "$1"/var/lib/apt/lists/*',
            "bookworm",
            str(draft),
            *([str(source_file)] if sources else []),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=BUILD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            draft.unlink(missing_ok=True)
            raise LocalCloudError(
                f"mmdebstrap did not end in {BUILD_TIMEOUT_S} s; is the Debian mirror in /etc/apt "
                "reachable?"
            ) from error
        if done.returncode != 0:
            draft.unlink(missing_ok=True)
            tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-12:])
            raise LocalCloudError(
                f"mmdebstrap could not make a Debian 12 system:\n{tail}\n"
                "See that `apt-get update` works on this machine"
            )
    for older in tarball.parent.glob("*.tar"):
        if older != draft:
            older.unlink()
    draft.replace(tarball)


def _import(client: docker.DockerClient, tarball: Path, wanted: str) -> None:
    repository, tag = TAG.split(":")
    changes = [f"ENV {name}={value}" for name, value in ENVIRONMENT.items()]
    changes += [f"LABEL {LABEL}={wanted}", 'CMD ["/bin/bash"]']
    try:
        client.api.import_image_from_file(
            str(tarball), repository=repository, tag=tag, changes=changes
        )
    except APIError as error:
        raise LocalCloudError(
            f"the Docker engine did not take the base image {tarball}: {error}. Delete that file "
            "and try again; is the engine's disk full?"
        ) from error


def _body(pem: str) -> str:
    return "".join(pem.split())
