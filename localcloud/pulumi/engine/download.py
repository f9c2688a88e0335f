"""Gets the official Pulumi release, where its server is reachable."""

import platform
import shutil
import tarfile
import tempfile
from pathlib import Path

import requests

from components.http_session import make_session
from container.transport.network import reason_of

RELEASES = "https://get.pulumi.com/releases/sdk"
"""Where the official installer gets its archives (https://get.pulumi.com, the script)."""

CONNECT_S = 5.0
READ_S = 30.0

_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def download_release(version: str, into: Path, *, releases: str = RELEASES) -> str | None:
    """Unpack the release's programs into the folder; return why not when it cannot be had.

    A refusal is usual (no internet, a proxy's list): it is an answer here, not an error.
    """
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None:
        return f"there is none for {platform.machine()}"
    address = f"{releases}/pulumi-v{version}-{platform.system().lower()}-{machine}.tar.gz"
    try:
        with (
            tempfile.TemporaryFile() as archive,
            make_session() as session,
            session.get(address, stream=True, timeout=(CONNECT_S, READ_S)) as answer,
        ):
            if answer.status_code != requests.codes.ok:
                return f"HTTP {answer.status_code}"
            for part in answer.iter_content(1 << 20):
                archive.write(part)
            archive.seek(0)
            _unpack(archive, into)
    except requests.RequestException as error:
        return reason_of(error)
    except tarfile.TarError:
        return "what came is no archive"
    if not (into / "pulumi").exists() or not (into / "pulumi-language-python").exists():
        _empty(into)
        return "the archive lacks pulumi or its Python language host"
    return None


def _unpack(archive: object, into: Path) -> None:
    with tarfile.open(fileobj=archive, mode="r:gz") as files:  # type: ignore[arg-type]
        for member in files:
            # The programs lie in pulumi/ or pulumi/bin/, by the archive's age.
            if member.isfile() and (source := files.extractfile(member)) is not None:
                program = into / Path(member.name).name
                with program.open("wb") as target:
                    shutil.copyfileobj(source, target)
                program.chmod(0o755)


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
