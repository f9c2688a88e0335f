"""Where an engine comes from: PATH, the official release, a build; whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.pulumi.engine import VERSION, EngineError, build, install
from localcloud.pulumi.engine.hosts import SOURCE, install_hosts

Say = list[str]


def script(path: Path, text: str) -> Path:
    """Make a program of a few lines of shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, a PATH without pulumi and go, and no official release."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(install, "download_release", lambda _version, _into: "refused in a test")
    return tmp_path / "cache" / "trainstack" / "engine" / VERSION


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The builds that were asked for; each makes a CLI that tells the right version."""
    asked: list[Path] = []

    def build_cli(version: str, program: Path, report: Callable[[str], None]) -> None:
        asked.append(program)
        script(program, f"echo v{version}")

    monkeypatch.setattr(install, "build_cli", build_cli)
    return asked


def test_an_engine_is_built_once_and_gets_its_hosts(home: Path, builds: list[Path]) -> None:
    said: Say = []
    assert install.ensure_engine(said.append) == home
    assert any("refused in a test" in line for line in said)
    assert {path.name for path in home.iterdir()} == {
        "pulumi",
        "pulumi-language-python",
        "pulumi-resource-pulumi-python",
        "host",
    }
    assert os.access(home / "pulumi-language-python", os.X_OK)
    said.clear()
    assert install.ensure_engine(said.append) == home
    assert (len(builds), said) == (1, [f"engine: Pulumi {VERSION}, there already"])
    assert [path.name for path in home.parent.iterdir()] == [VERSION, f"{VERSION}.lock"]


def test_a_changed_host_is_refreshed(home: Path, builds: list[Path]) -> None:
    install.ensure_engine(lambda _: None)
    (home / "host" / "language_host.py").write_text("old")
    (home / "pulumi-language-python").chmod(0o644)
    install.ensure_engine(lambda _: None)
    assert (home / "host" / "language_host.py").read_bytes() == (
        SOURCE / "language_host.py"
    ).read_bytes()
    assert os.access(home / "pulumi-language-python", os.X_OK)


def test_an_unchanged_host_is_left_alone(tmp_path: Path) -> None:
    install_hosts(tmp_path)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    install_hosts(tmp_path)
    assert before == {path: path.stat().st_ino for path in tmp_path.rglob("*")}


def test_what_an_interrupted_build_left_is_cleared(home: Path, builds: list[Path]) -> None:
    left = home.parent / f".{VERSION}-abc"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    home.mkdir()
    (home / "notes").write_text("an older try, without pulumi")
    install.ensure_engine(lambda _: None)
    assert not left.exists() and not (home / "notes").exists()


def test_a_build_that_fails_leaves_no_engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_cli(version: str, program: Path, report: Callable[[str], None]) -> None:
        program.write_text("half")
        raise EngineError("the disk is full")

    monkeypatch.setattr(install, "build_cli", build_cli)
    with pytest.raises(EngineError, match="disk is full"):
        install.ensure_engine(lambda _: None)
    assert not home.exists()
    assert [path.name for path in home.parent.iterdir()] == [f"{VERSION}.lock"]


def test_a_cli_of_another_version_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        install, "build_cli", lambda _v, program, _r: script(program, "echo v1.0.0")
    )
    with pytest.raises(EngineError, match="does not say that it is Pulumi"):
        install.ensure_engine(lambda _: None)
    assert not home.exists()


@pytest.mark.parametrize(
    ("version", "files", "taken"),
    [
        ("v3.274.1", ("pulumi-language-python", "pulumi-resource-pulumi-python"), True),
        ("v3.300.1", ("pulumi-language-python", "pulumi-resource-pulumi-python"), True),
        ("v4.0.0-alpha.1", ("pulumi-language-python", "pulumi-resource-pulumi-python"), True),
        ("v3.274.0", ("pulumi-language-python", "pulumi-resource-pulumi-python"), False),
        ("v3.300.1", (), False),
        ("nonsense", ("pulumi-language-python", "pulumi-resource-pulumi-python"), False),
    ],
)
def test_an_engine_on_path_is_used_when_it_is_new_enough_and_complete(
    home: Path,
    builds: list[Path],
    tmp_path: Path,
    version: str,
    files: tuple[str, ...],
    taken: bool,
) -> None:
    script(tmp_path / "opt" / "pulumi", f"echo {version}")
    for name in files:
        script(tmp_path / "opt" / name, "exit 0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(tmp_path / "opt" / "pulumi")
    expected = tmp_path / "opt" if taken else home
    assert install.ensure_engine(lambda _: None) == expected
    assert len(builds) == (0 if taken else 1)


def test_an_engine_made_before_is_used_though_another_is_on_path(
    home: Path, builds: list[Path], tmp_path: Path
) -> None:
    """It is in front of PATH in the local world: the other would be named and not run."""
    install.ensure_engine(lambda _: None)
    for name in ("pulumi-language-python", "pulumi-resource-pulumi-python"):
        script(tmp_path / "bin" / name, "exit 0")
    script(tmp_path / "bin" / "pulumi", "echo v3.300.1")
    assert install.ensure_engine(lambda _: None) == home


def test_our_own_engine_on_path_still_gets_its_hosts_refreshed(
    home: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install.ensure_engine(lambda _: None)
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
    (home / "host" / "run_program.py").write_text("old")
    assert install.ensure_engine(lambda _: None) == home
    assert (home / "host" / "run_program.py").read_text() != "old"


def test_two_at_once_build_one_engine(home: Path, tmp_path: Path) -> None:
    script(tmp_path / "bin" / "go", 'case $1 in env) echo "go1.99.0 local";; esac')
    code = """
import sys, time
from pathlib import Path
from localcloud.pulumi.engine import install
def build_cli(version, program, report):
    with open(sys.argv[1], "a") as log: log.write("built\\n")
    program.write_text(f"#!/bin/sh\\necho v{version}\\n"); program.chmod(0o755)
install.build_cli = build_cli
install.download_release = lambda version, into: "refused"
install.ensure_engine(lambda line: None)
"""
    log = tmp_path / "builds"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(log)], env=os.environ | {"PYTHONPATH": "."}
        )
        for _ in range(2)
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    assert log.read_text() == "built\n"


def test_no_go_says_what_to_install(home: Path, tmp_path: Path) -> None:
    os.environ["PATH"] = str(tmp_path / "bin")  # monkeypatch of `home` restores it
    with pytest.raises(EngineError, match=r"no Go to build it with.*\n.*go\.dev/dl"):
        install.ensure_engine(lambda _: None)


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("go1.26.6 local", True),
        ("go1.26.0 auto", True),
        ("go1.26.5 local", False),
        ("go1.30.2 local", True),
        ("go1.22.0 auto", True),  # fetches the toolchain that go.mod asks for
        ("go1.25.9 local", False),
        ("go1.19.8", False),
    ],
)
def test_an_old_go_is_refused_before_the_build(
    home: Path, tmp_path: Path, answer: str, accepted: bool
) -> None:
    script(
        tmp_path / "bin" / "go",
        f"""case $1 in
          env) printf '%s\\n' {answer};;
          build) while [ "$1" != -o ]; do shift; done
                 printf '#!/bin/sh\\necho v{VERSION}\\n' >"$2"; chmod +x "$2";;
        esac""",
    )
    if accepted:
        assert install.ensure_engine(lambda _: None) == home
    else:
        with pytest.raises(EngineError, match=r"this machine has go1"):
            install.ensure_engine(lambda _: None)


def test_a_build_tells_how_far_it_is_and_why_it_failed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path / "bin" / "go",
        """case $1 in
          env) echo go1.99.0;;
          build) echo "go: downloading example.com/a v1" >&2; echo example.com/a >&2
                 while [ ! -e "$OVER" ]; do :; done
                 echo "no space left on device" >&2; exit 1;;
        esac""",
    )
    over = tmp_path / "over"
    monkeypatch.setenv("OVER", str(over))
    monkeypatch.setattr(build, "PROGRESS_S", 0.05)
    said: Say = []

    def report(line: str) -> None:
        said.append(line)
        if "1 of up to 1700 packages compiled" in line:
            over.touch()

    with pytest.raises(EngineError, match="no space left on device") as failure:
        install.ensure_engine(report)
    assert "downloading" not in str(failure.value)
    assert any("1 of up to 1700 packages compiled" in line for line in said)


def test_a_download_that_is_refused_is_made_from_the_proxy_that_is_set(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path / "bin" / "go",
        f"""case $1 in
          env) echo go1.99.0;;
          build) [ "$GOPROXY" = http://reachable.example ] || {{ echo 403 >&2; exit 1; }}
                 while [ "$1" != -o ]; do shift; done
                 printf '#!/bin/sh\\necho v{VERSION}\\n' >"$2"; chmod +x "$2";;
        esac""",
    )
    with pytest.raises(EngineError, match="set GOPROXY to a Go module proxy"):
        install.ensure_engine(lambda _: None)
    monkeypatch.setenv("GOPROXY", "http://reachable.example")
    assert install.ensure_engine(lambda _: None) == home


def test_the_build_is_pinned_and_stamped_with_the_version(tmp_path: Path) -> None:
    command = build.build_command(VERSION, tmp_path / "pulumi")
    assert "-mod=readonly" in command and command[-1] == build.PACKAGE
    assert f"version.Version=v{VERSION}" in command[command.index("-ldflags") + 1]
    required = (build.MODULE / "go.mod").read_text()
    assert VERSION == "3.274.1" == build.wanted_cli()
    assert f"github.com/pulumi/pulumi/sdk/v3 v{VERSION}" in required
    assert f"tool {build.PACKAGE}" in required
    assert build.wanted_go() == (1, 26, 6)


def test_an_official_release_keeps_its_own_hosts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download_release(version: str, into: Path) -> None:
        script(into / "pulumi", f"echo v{version}")
        script(into / "pulumi-language-python", "echo official")

    monkeypatch.setattr(install, "download_release", download_release)
    said: Say = []
    install.ensure_engine(said.append)
    assert "official" in (home / "pulumi-language-python").read_text()
    assert not (home / "host").exists()
    install.ensure_engine(said.append)
    assert "official" in (home / "pulumi-language-python").read_text()
