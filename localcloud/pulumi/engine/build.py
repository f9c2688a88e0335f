"""Builds the Pulumi CLI from its Go module, pinned by go.mod and go.sum beside this file."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from localcloud.pulumi.engine.errors import EngineError

MODULE = Path(__file__).parent
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"

FETCHES_NEWER = (1, 21)
"""Since this version Go gets the toolchain that a module asks for (https://go.dev/doc/toolchain)."""

PROGRESS_S = 10.0

PACKAGES = 1700
"""Counted in a build with empty caches; what Go has compiled before is not compiled again."""

_BY_HAND = (
    "Install Go {wanted} or newer (https://go.dev/dl/), or Pulumi itself "
    "(https://www.pulumi.com/docs/install/), and try again."
)


def build_cli(version: str, program: Path, report: Callable[[str], None]) -> None:
    """Build the CLI into the file `program`; a line of progress every ten seconds.

    Uses Go's own caches, so an interrupted build goes on where it was. Raises EngineError.
    """
    _check_go()
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as talk:
        build = subprocess.Popen(
            build_command(version, program),
            cwd=MODULE,
            stdin=subprocess.DEVNULL,
            stdout=talk,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
        try:
            while True:
                try:
                    status = build.wait(PROGRESS_S)
                    break
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - begin
                    report(f"engine: {elapsed:4.0f} s, {_progress(_read(talk))}")
        finally:
            if build.poll() is None:
                build.terminate()
                build.wait()
        if status != 0:
            raise EngineError(_failure(_read(talk)))


def build_command(version: str, program: Path) -> list[str]:
    """Return the command that builds the CLI, to run in this folder."""
    stamp = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}"
    # -v names each package when it is compiled: our measure of progress.
    options = ["-v", "-mod=readonly", "-trimpath", "-tags", "osusergo,grpcnotrace"]
    return ["go", "build", *options, "-ldflags", f"-s -w {stamp}", "-o", str(program), PACKAGE]


def wanted_go() -> tuple[int, ...]:
    """Return the Go version that go.mod asks for."""
    return _numbers(_named(r"^go (\d+(?:\.\d+)*)$", what="Go version"))


def wanted_cli() -> str:
    """Return the version of the CLI that go.mod asks for: the one place that names it."""
    module = PACKAGE.removesuffix("/cmd/pulumi")
    return _named(rf"^\s+{re.escape(module)} v(\d+\.\d+\.\d+)\b", what="Pulumi version")


def _named(pattern: str, *, what: str) -> str:
    found = re.search(pattern, (MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise EngineError(f"{MODULE / 'go.mod'} names no {what}; restore it from git.")
    return found[1]


def _environment() -> dict[str, str]:
    # A workspace or flags of the user's would change what is built.
    return {**os.environ, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}


def _check_go() -> None:
    wanted = wanted_go()
    remedy = _BY_HAND.format(wanted=".".join(map(str, wanted)))
    if shutil.which("go") is None:
        raise EngineError(
            f"There is no Pulumi on this machine, and no Go to build it with.\n{remedy}"
        )
    said = subprocess.run(
        ["go", "env", "GOVERSION", "GOTOOLCHAIN"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    ).stdout.split()
    have = _numbers(said[0].removeprefix("go")) if said else ()
    if have >= wanted:
        return
    if have < FETCHES_NEWER or "local" in said[1:]:
        raise EngineError(
            f"Pulumi is to be built with Go {'.'.join(map(str, wanted))}; "
            f"this machine has {said[0] if said else 'an unknown version'}.\n{remedy}"
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _read(talk: object) -> str:
    talk.seek(0)  # type: ignore[attr-defined]
    return talk.read()  # type: ignore[attr-defined]


def _progress(talk: str) -> str:
    lines = talk.splitlines()
    got = sum(line.startswith("go: downloading ") for line in lines)
    built = len(lines) - got
    return (
        f"{built} of up to {PACKAGES} packages compiled" if built else f"{got} modules downloaded"
    )


def _failure(talk: str) -> str:
    told = [line for line in talk.splitlines() if not line.startswith("go: downloading ")]
    return (
        "Go could not build the Pulumi CLI. It said last:\n"
        + "\n".join(f"  {line}" for line in told[-8:])
        + "\nIf a download was refused, set GOPROXY to a Go module proxy that this machine "
        "reaches; if the disk is full, make 4 GB of room; or install Pulumi by hand: "
        "https://www.pulumi.com/docs/install/"
    )
