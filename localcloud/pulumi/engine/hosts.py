"""Puts the Python language host and the dynamic provider's starter beside a built engine."""

import os
from pathlib import Path

SOURCE = Path(__file__).with_name("host")

_LAUNCHERS = ("pulumi-language-python", "pulumi-resource-pulumi-python")


def install_hosts(engine: Path, *, source: Path = SOURCE) -> None:
    """Copy the host's files into the engine's folder where they are missing or have changed."""
    (engine / "host").mkdir(exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.is_file():
            # The launchers lie beside the CLI, where it looks for its plugins first.
            target = engine / file.name if file.name in _LAUNCHERS else engine / "host" / file.name
            _refresh(file, target)


def _refresh(file: Path, target: Path) -> None:
    content = file.read_bytes()
    mode = 0o755 if file.name in _LAUNCHERS else 0o644
    if target.exists() and target.read_bytes() == content and target.stat().st_mode & 0o777 == mode:
        return
    # An engine that runs right now keeps the file that it has open.
    new = target.with_name(f".{target.name}.{os.getpid()}")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(target)
