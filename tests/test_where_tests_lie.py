"""Whoever reads a module finds its tests at the mirrored path, or here where else they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ROOT
from tests.source_tree import lies_in, modules_in
from tests.test_architecture import PLACES


@dataclass(frozen=True)
class Elsewhere:
    """Where modules are tested that have no test module of their own, and why there."""

    reason: str
    files: tuple[str, ...]


def elsewhere(reason: str, *files: str) -> Elsewhere:
    return Elsewhere(reason, tuple(f"tests/{file}" for file in files))


# By module or package; the nearest entry counts. A place as a whole has none: there would be no
# rule left.
ELSEWHERE: Mapping[str, Elsewhere] = {
    "__main__": elsewhere("the program, run under Pulumi's mocks", "program/test_program.py"),
    "benchmarks": elsewhere(
        "measuring programs, run by hand; the one that decides something has its tests",
        "unit/benchmarks/test_paid_seconds.py",
    ),
    "components.artifact_store": elsewhere(
        "declares resources: seen in the program under Pulumi's mocks", "program/test_program.py"
    ),
    "components.training_run": elsewhere(
        "declares resources: seen in the program under Pulumi's mocks", "program/test_program.py"
    ),
    "components.outputs": elsewhere(
        "what the program exports: seen under Pulumi's mocks", "program/test_program.py"
    ),
    "components.errors": elsewhere(
        "a base class: the text of each refusal is tested where it is raised",
        "unit/components/config/test_settings.py",
        "unit/components/ionet/test_client.py",
    ),
    "components.config": elsewhere(
        "read by one function, which names every bad value in one message",
        "unit/components/config/test_settings.py",
    ),
    "components.r2": elsewhere(
        "the verdict is read as the provider reads it; the client has tests of its own",
        "unit/components/test_preflight.py",
        "provider/test_process.py",
    ),
    "components.ionet": elsewhere(
        "the provider and what it calls, as the engine sees them: over gRPC, with the CaaS "
        "stand-in behind; its decisions have tests of their own",
        "provider/test_process.py",
    ),
    "components.ionet.errors": elsewhere(
        "what each of the vendor's answers means", "unit/components/ionet/test_client.py"
    ),
    "container.contract": elsewhere(
        "types and their decisions, as tables; each side's use is in its own tests",
        "container/test_decisions.py",
        "container/test_recipes.py",
    ),
    "container.transport": elsewhere(
        "needs a server that refuses and breaks", "container/test_busy_bucket.py"
    ),
    "container.storage": elsewhere(
        "needs a real S3 server, with planted faults",
        "container/test_upload_queue.py",
        "container/test_part_limiter.py",
        "container/test_busy_bucket.py",
        "container/test_disk.py",
        "container/test_interruption.py",
    ),
    "container.storage.checkpoints": elsewhere(
        "what a complete step is, as tables", "container/test_decisions.py"
    ),
    "container.system": elsewhere(
        "processes that end, and a stop from outside; whole runs",
        "container/test_stage_ends.py",
        "container/test_going_on.py",
    ),
    "container.telemetry": elsewhere(
        "lines, numbers and the page that shows them",
        "container/test_decisions.py",
        "container/test_status_page.py",
        "container/test_disk.py",
    ),
    "container.stages": elsewhere(
        "whole runs in one process, against a real S3 server",
        "container/test_run.py",
        "container/test_mishaps.py",
        "container/test_stage_ends.py",
        "container/test_decisions.py",
    ),
    "container.supervisor": elsewhere(
        "whole runs in one process, against a real S3 server",
        "container/test_run.py",
        "container/test_going_on.py",
        "container/test_machine_check.py",
        "container/test_interruption.py",
    ),
    "container.web": elsewhere(
        "real HTTP, tokens as they come",
        "container/test_chat_stream.py",
        "container/test_status_page.py",
    ),
    "container.recipes": elsewhere(
        "data: every recipe is held against the programs that it starts",
        "container/test_recipes.py",
        "container/test_recipes_nanochat.py",
        "container/test_recipes_run.py",
    ),
    "container.nanochat": elsewhere(
        "runs in nanochat's Python; here with a stand-in for nanochat",
        "container/test_nanochat_chat.py",
        "container/test_nanochat_shards.py",
        "container/test_recipes_prepare.py",
    ),
    "container.toy_trainer": elsewhere(
        "needs torch, and runs in its image; what needs none has a file of its own",
        "container/test_toy_trainer.py",
        "container/test_toy_trainer_data.py",
    ),
    "runs.extending": elsewhere(
        "watchers that buy beside an update, against the vendor and the bucket of all three",
        "provider/test_automatic_hours.py",
    ),
    "runs.waits": elsewhere("as its reader tells it", "unit/runs/terminal/test_waiting.py"),
    "localcloud.cli": elsewhere(
        "as its user meets it, with real services", "contract/test_local_cloud.py"
    ),
    "localcloud.main_job.__main__": elsewhere(
        "all entries that a person calls", "unit/localcloud/test_main.py"
    ),
    "localcloud.errors": elsewhere(
        "classes only: raised by the parts", "unit/localcloud/test_processes.py"
    ),
    "localcloud.probe": elsewhere(
        "how a service is found healthy", "unit/localcloud/test_processes.py"
    ),
    "localcloud.purge": elsewhere(
        "as `make purge` calls it", "unit/localcloud/main_job/test_cli.py"
    ),
    "localcloud.caas": elsewhere(
        "held to the vendor's interface from outside, over HTTP",
        "contract/test_caas_life.py",
        "contract/test_caas_rules.py",
        "contract/test_caas_openapi.py",
        "contract/test_caas_docker.py",
        "contract/test_caas_process.py",
    ),
    "localcloud.cloudflare_api": elsewhere(
        "held to Cloudflare's interface by its official client",
        "contract/test_cloudflare_api.py",
    ),
    "localcloud.datasets": elsewhere(
        "the mirror serves what the corpus makes", "unit/localcloud/datasets/test_corpus.py"
    ),
    "localcloud.docker": elsewhere(
        "needs a Docker daemon, or Debian's packages",
        "contract/test_local_cloud.py",
        "contract/test_caas_docker.py",
        "unit/localcloud/docker/test_daemon.py",
    ),
    "localcloud.object_store": elsewhere(
        "a real S3 server, started", "contract/test_faults.py", "contract/test_cloudflare_api.py"
    ),
    "localcloud.pulumi.engine": elsewhere(
        "needs the engine that it installs",
        "unit/localcloud/pulumi/engine/test_install.py",
        "unit/localcloud/pulumi/engine/test_hosts.py",
    ),
    "localcloud.pulumi.plugins": elsewhere(
        "over gRPC, as the engine calls them; the last of all under the engine itself",
        "unit/localcloud/pulumi/plugins/test_standin.py",
        "unit/localcloud/pulumi/plugins/test_under_the_engine.py",
    ),
    "runs.__main__": elsewhere("calls the command line", "unit/runs/test_cli.py"),
    "runs.errors": elsewhere("exit codes, as documented", "unit/runs/test_cli.py"),
    "runs.inventory": elsewhere(
        "needs an account, a bucket and tokens; what follows from it has its tests",
        "provider/test_reap.py",
        "unit/runs/test_reaping.py",
    ),
    "runs.machines": elsewhere(
        "machines that no stack knows", "unit/runs/commands/test_reap.py", "provider/test_reap.py"
    ),
    "runs.giving_back": elsewhere(
        "needs an account, a bucket and a container that answers", "provider/test_stop.py"
    ),
    "runs.rented": elsewhere(
        "needs an account that rents what has ended", "provider/test_ended_runs.py"
    ),
    "runs.commands": elsewhere(
        "typed as a user types them, against a real S3 server",
        "contract/test_runs_bucket.py",
        "unit/runs/test_cli.py",
    ),
    "runs.commands.chat": elsewhere(
        "the client that it talks through", "unit/runs/test_model_client.py"
    ),
    "runs.commands.doctor": elsewhere("the checks that it shows", "unit/runs/test_checks.py"),
    "runs.vendor_report": elsewhere(
        "written against the local vendor; what is pure has a file of its own",
        "contract/test_vendor_report.py",
        "unit/runs/vendor_report/test_outline.py",
    ),
    "runs.download": elsewhere("needs a real bucket", "contract/test_runs_bucket.py"),
    "runs.source": elsewhere(
        "which source is asked, and what a real bucket answers",
        "unit/runs/source/test_source.py",
        "contract/test_runs_bucket.py",
    ),
    "runs.terminal": elsewhere(
        "how the commands look", "unit/runs/test_cli.py", "contract/test_runs_bucket.py"
    ),
    "runs.view": elsewhere(
        "how the commands' answers look, within 80 columns",
        "unit/runs/view/test_panel.py",
        "contract/test_runs_bucket.py",
    ),
}


def untested(
    modules: Iterable[str], root: Path, elsewhere: Mapping[str, Elsewhere] = ELSEWHERE
) -> list[str]:
    """Return the modules with no test module at a mirrored path and none that is named."""
    return [
        module
        for module in sorted(modules)
        if not any((root / path).is_file() for path in mirrored(module))
        if not any(lies_in(module, package) for package in elsewhere)
    ]


def mirrored(module: str) -> list[str]:
    """Return where the tests of a module lie, with and without a server; `_name` is `name`."""
    *packages, name = module.split(".")
    path = "/".join([*packages, f"test_{name.strip('_')}.py"])
    return [f"tests/unit/{path}", f"tests/{path}"]


def test_every_module_has_its_tests_at_the_mirrored_path_or_a_line_that_says_where() -> None:
    modules = modules_in(ROOT, (*PLACES, "benchmarks"))
    named = [name for name, path in modules.items() if path.name != "__init__.py"]
    lost = untested([*named, "__main__"], ROOT)
    assert not lost, (
        "\n"
        + "\n".join(f"  {name}: write {' or '.join(mirrored(name))}" for name in lost)
        + "\nor add a line to ELSEWHERE in this file that says where it is tested, and why there."
    )


@pytest.mark.parametrize("package", sorted(ELSEWHERE))
def test_the_files_that_a_line_names_are_there(package: str) -> None:
    gone = [file for file in ELSEWHERE[package].files if not (ROOT / file).is_file()]
    assert not gone, f"ELSEWHERE[{package!r}] names {', '.join(gone)}: say where these tests went"


def test_no_line_speaks_for_a_whole_place() -> None:
    assert not set(ELSEWHERE) & set(PLACES)


def test_a_module_without_tests_is_found(tmp_path: Path) -> None:
    for path in ("tests/unit/a/test_one.py", "tests/a/deep/test_two.py", "tests/test_a.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    table = {"a.named": elsewhere("needs a server", "test_a.py")}
    modules = ["a.one", "a.deep._two", "a.named.three", "a.lost", "a.deep.one"]
    assert untested(modules, tmp_path, table) == ["a.deep.one", "a.lost"]


def test_no_module_of_the_table_has_tests_of_its_own_by_now() -> None:
    modules = [name for name in ELSEWHERE if not (ROOT / name.replace(".", "/")).is_dir()]
    stale = [name for name in modules if any((ROOT / file).is_file() for file in mirrored(name))]
    assert not stale, f"{stale}: found at the mirrored path; take the line out of ELSEWHERE"
