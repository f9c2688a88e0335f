"""The Python language host under the real engine: what a user sees of a program that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from localcloud.pulumi.engine.hosts import SOURCE
from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

HOST = SOURCE / "language_host.py"


@pytest.fixture
def project(tmp_path: Path) -> ScratchProject:
    return ScratchProject(tmp_path)


@pytest.mark.engine
def test_a_program_gets_its_config_and_its_talk_is_shown(project: ScratchProject) -> None:
    project.program("""
        import os, sys
        import pulumi
        config = pulumi.Config()
        print("said plainly")
        print("said as an error", file=sys.stderr)
        pulumi.export("plain", config.require("plain"))
        pulumi.export("secret", config.require_secret("secret"))
        pulumi.export("where", [pulumi.get_project(), pulumi.get_stack(), os.getcwd()])
        pulumi.export("seen", [k for k, v in os.environ.items() if "PLANTED" in v])
    """)
    project.pulumi("config", "set", "plain", "value")
    project.pulumi("config", "set", "--secret", "secret", "PLANTED")
    said = project.up()
    assert "said plainly" in said and "said as an error" in said
    assert "PLANTED" not in said and "[secret]" in said
    assert "warning" not in said
    assert project.output("where") == f'["scratch","dev","{project.folder}"]'
    assert project.output("seen") == "[]", "secrets must not be in the program's environment"
    project.up("--expect-no-changes")


@pytest.mark.engine
def test_a_run_error_is_its_message_alone_and_told_once(project: ScratchProject) -> None:
    project.program("""
        import pulumi
        raise pulumi.RunError("trainstack:bucket is missing; set it")
    """)
    said = project.up(status=1)
    assert said.count("error: trainstack:bucket is missing; set it") >= 1
    assert said.partition("Diagnostics:")[2].count("trainstack:bucket") == 1
    assert "Traceback" not in said and "unhandled" not in said


@pytest.mark.engine
def test_another_failure_shows_the_programs_own_lines_once(project: ScratchProject) -> None:
    project.program("""
        import pulumi

        def deep(value):
            return {}["planted key"]

        pulumi.export("x", pulumi.Output.from_input(1).apply(deep))
    """)
    told = project.up(status=1).partition("Diagnostics:")[2]
    assert told.count("KeyError: 'planted key'") == 1
    assert "in deep" in told
    assert "site-packages" not in told and "run_program.py" not in told


@pytest.mark.engine
def test_a_program_that_does_not_parse_shows_its_line(project: ScratchProject) -> None:
    (project.folder / "__main__.py").write_text("import pulumi\nx = (\n")
    told = project.up(status=1).partition("Diagnostics:")[2]
    assert '__main__.py", line 2' in told and "SyntaxError" in told
    assert "runpy" not in told


@pytest.mark.engine
def test_hooks_and_dynamic_resources_work(project: ScratchProject) -> None:
    (project.folder / "clock.py").write_text(
        "from pulumi import dynamic\n"
        "class Provider(dynamic.ResourceProvider):\n"
        "    def create(self, props):\n"
        "        return dynamic.CreateResult('made', {'twice': props['n'] * 2})\n"
    )
    project.program("""
        import pulumi
        from pulumi import dynamic
        from clock import Provider

        class Doubled(dynamic.Resource):
            twice: pulumi.Output[int]

        def before(args):
            print("hook before", args.name)

        made = Doubled(
            Provider(), "doubled", {"n": 21, "twice": None},
            pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(
                before_create=[pulumi.ResourceHook("before", before)])),
        )
        pulumi.export("twice", made.twice)
    """)
    said = project.up()
    assert "hook before doubled" in said
    assert project.output("twice") == "42"
    project.up("--expect-no-changes")


@pytest.mark.engine
def test_a_killed_engine_leaves_no_host_and_no_program(project: ScratchProject) -> None:
    project.program("""
        import os, pathlib, time
        pathlib.Path("started").write_text(str(os.getpid()))
        time.sleep(600)
    """)
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    project.wait_until((project.folder / "started").exists, "the program started")
    program = psutil.Process(int((project.folder / "started").read_text()))
    host = program.parent()
    assert host is not None
    engine.kill()
    engine.wait()
    gone, left = psutil.wait_procs([program, host], timeout=20)
    for process in left:
        process.kill()
    assert len(gone) == 2, f"still there: {left}"


def test_the_host_leaves_in_silence_when_interrupted() -> None:
    host = subprocess.Popen(
        [sys.executable, "-I", "-u", str(HOST), "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    assert int(host.stdout.readline()) > 0
    host.send_signal(signal.SIGINT)
    # Its engine, this process, lives on: it leaves because of the signal or never.
    said, complained = host.communicate(timeout=60)
    assert (host.returncode, said, complained) == (0, "", "")


def test_a_host_without_the_sdk_says_what_to_do(tmp_path: Path) -> None:
    bare = subprocess.run(
        [sys.executable, "-I", "-S", str(HOST)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert bare.returncode == 1
    assert "TRAINSTACK_PYTHON" in bare.stderr and "Traceback" not in bare.stderr


@pytest.mark.parametrize("launcher", ["pulumi-language-python", "pulumi-resource-pulumi-python"])
def test_a_launcher_becomes_the_interpreter_of_the_nearest_environment(
    tmp_path: Path, launcher: str
) -> None:
    project = tmp_path / "a project"
    inner = project / "program"
    inner.mkdir(parents=True)
    interpreter = project / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text('#!/bin/sh\necho "$$ $0"\n')
    interpreter.chmod(0o755)
    bin_dir = tmp_path / "bin"
    (bin_dir / "host").mkdir(parents=True)
    (bin_dir / launcher).write_bytes((SOURCE / launcher).read_bytes())
    (bin_dir / launcher).chmod(0o755)
    (bin_dir / "host" / "interpreter.sh").write_bytes((SOURCE / "interpreter.sh").read_bytes())
    environment = {"PATH": os.environ["PATH"], "TRAINSTACK_PYTHON": "/bin/false"}
    started = subprocess.Popen(
        [str(bin_dir / launcher), "127.0.0.1:1"],
        cwd=inner,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said, _ = started.communicate(timeout=30)
    assert said.split(maxsplit=1) == [str(started.pid), f"{interpreter}\n"], "it has to exec"
    interpreter.rename(tmp_path / "another")
    named = environment | {"TRAINSTACK_PYTHON": str(tmp_path / "another")}
    command = [str(bin_dir / launcher), "127.0.0.1:1"]
    said = subprocess.check_output(command, cwd=inner, env=named, text=True)
    assert said.endswith(f"{tmp_path / 'another'}\n"), "where there is no .venv, what is named"
