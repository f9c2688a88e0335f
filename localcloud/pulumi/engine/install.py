"""Finds or makes the Pulumi engine: made before, on PATH, the official release, built with Go.

What is made lies in the user's cache, once per version, for all checkouts. It does not start
the engine.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from localcloud.file_lock import alone
from localcloud.place import cache_folder
from localcloud.pulumi.engine.build import build_cli, wanted_cli
from localcloud.pulumi.engine.download import download_release
from localcloud.pulumi.engine.errors import EngineError
from localcloud.pulumi.engine.hosts import install_hosts

VERSION = wanted_cli()
"""Of the engine, whoever asks; the SDK's own version is pyproject.toml's, and may be another."""

Report = Callable[[str], None]


def ensure_engine(report: Report = print) -> Path:
    """Return the folder that holds `pulumi` and its Python language host; make it when needed.

    `report` gets one line per thing worth knowing. Safe to run twice at once and to interrupt:
    the CLI appears in its folder whole or not at all. Raises EngineError.
    """
    home = engine_dir()
    found = found_engine()
    if found == home:
        report(f"engine: Pulumi {VERSION}, there already")
    elif found is not None:
        report(f"engine: Pulumi of this machine, in {found}")
        return found
    else:
        wait = "engine: another process is getting the Pulumi engine; waiting for it"
        with alone(home.with_name(f"{home.name}.lock"), waiting=lambda: report(wait)):
            if not _is_complete(home):
                _install(home, report)
    if _is_built(home):
        install_hosts(home)
    return home


def found_engine() -> Path | None:
    """Return the folder of an engine that is there already; makes none."""
    home = engine_dir()
    # Ours first: the local world has it in front of PATH, so no other would run.
    return home if _is_complete(home) else _on_path(but_not=home)


def engine_dir() -> Path:
    """Return the folder of the engine that this module makes."""
    return cache_folder() / "engine" / VERSION


def _on_path(*, but_not: Path) -> Path | None:
    program = shutil.which("pulumi")
    if program is None or Path(program).parent == but_not:
        return None
    folder = Path(program).resolve().parent
    # A plugin beside the program itself is found without a word; one elsewhere on PATH costs a
    # warning in every command, so such an engine counts as one without a language host.
    if folder == but_not.resolve() or not (folder / "pulumi-language-python").exists():
        return None
    if not (folder / "pulumi-resource-pulumi-python").exists():
        return None
    return folder if _version_of(program) >= _parse(VERSION) else None


def _version_of(program: str) -> tuple[int, ...]:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        answer = subprocess.run(
            [program, "version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _parse(answer.stdout)


def _parse(text: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return tuple(int(part) for part in match.groups()) if match else ()


def _is_complete(home: Path) -> bool:
    return os.access(home / "pulumi", os.X_OK)


def _is_built(home: Path) -> bool:
    return not (home / "official").exists()


def _install(home: Path, report: Report) -> None:
    for left in home.parent.glob(f".{home.name}-*"):
        shutil.rmtree(left, ignore_errors=True)  # we hold the lock, so their owners are gone
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f".{home.name}-") as temporary:
        made = Path(temporary) / "engine"
        made.mkdir()
        refusal = download_release(VERSION, made)
        if refusal is None:
            (made / "official").touch()
            how = "downloaded the official release"
        else:
            report(f"engine: the official release of Pulumi {VERSION} is not to be had ({refusal})")
            report("engine: building it from its Go module; about 5 minutes on 2 cores, once")
            build_cli(VERSION, made / "pulumi", report)
            how = "built from its Go module"
        if _version_of(str(made / "pulumi")) != _parse(VERSION):
            raise EngineError(
                f"What was {how} does not say that it is Pulumi {VERSION}.\n"
                "Install Pulumi by hand: https://www.pulumi.com/docs/install/"
            )
        shutil.rmtree(home, ignore_errors=True)  # an older, broken try: it has no `pulumi`
        made.rename(home)
    report(f"engine: Pulumi {VERSION} {how} in {time.monotonic() - begin:.0f} s")
