"""Which place may import which, and which layer which: read from the code, never from a drawing.

docs/architecture.md shows the same. How imports are read: tests/source_tree.py.
"""

from __future__ import annotations

import re

import pytest

from tests import ROOT
from tests.source_tree import (
    Import,
    against_layers,
    beside_layers,
    circles,
    crossings,
    foreign,
    imports_in,
    lies_in,
    modules_in,
)

PLACES = ("components", "container", "localcloud", "runs")
MODULES = modules_in(ROOT, (*PLACES, "benchmarks")) | {"__main__": ROOT / "__main__.py"}
IMPORTS = imports_in(MODULES)

# What crosses from the container to every place, and why nothing else does: it lies in the image.
WIRE = {
    "container.contract": "what stands in the bucket, what a recipe is, what the container is "
    "told, how a program ends that nothing foresaw",
    "container.transport": "one S3 client, one question to W&B, one way to tell people something: "
    "one reading of their answers",
}
# What the operator's commands use of the program's code, each with its reason.
OF_COMPONENTS_IN_RUNS = {
    "components.config.endpoints": "the two worlds must not be told apart twice",
    "components.config.one_run": "whose config key a message names",
    "components.config.quotable": "what a run asks for is what the program would ask for",
    "components.config.run_settings": "what a stack's config allows to be bought for a run",
    "components.docker_daemon": "what the doctor asks of the engine is what an update asks",
    "components.errors": "what the program's own code raises ends a command as one message",
    "components.http_session": "one way to speak HTTP, which reads no other tool's files",
    # A machine that no state knows is found and given back by the same calls as one that is: a
    # second client would have its own idea of what "gone" means.
    "components.ionet.client": "the calls",
    "components.ionet.errors": "what each call can say",
    "components.ionet.catalogue": "which rows of the catalogue can be asked about, for the report",
    "components.ionet.json_shapes": "what an answer holds that no wire type knows, for the report",
    "components.ionet.machine_state": "a state is read as the provider reads its own",
    "components.ionet.market": "a quote is what a preview would choose",
    "components.ionet.models": "the vendor's wire types",
    "components.ionet.more_hours": "whether a run needs hours is decided as in an update",
    "components.ionet.offers": "what a run asks of the market",
    "components.ionet.quote": "how a quote is shown, there and in a preview",
    "components.ionet.rental": "gone, as this account shows it",
    "components.ionet.run_tokens": "by which name a run's token is told",
    "components.ledger": "what was rented for whom, whatever became of the state",
    "components.ionet.cost": "prices and the vendor's minutes",
    "components.r2.cloudflare": "whether a token is good, as the preflight sees it",
    "components.r2.verdict_reader": "where a run is told of its hours, as the program names it",
    "components.r2.run_objects": "what a run left, as the program checks it when it gives back",
    "components.r2.permissions": "what a run's token may do, as the program gives it",
    "components.upstream_check": "what a machine fetches, asked for as the preflight does",
    "components.registry": "whether a registry takes a login, as the preflight sees it",
}
CROSSINGS = {
    "__main__": ("components",),
    "components": tuple(WIRE),
    "container": (),
    # Whether a shell is in the local world, the stand-ins ask as the program does.
    "localcloud": (*WIRE, "components.config.endpoints", "components.http_session"),
    "runs": (*WIRE, *OF_COMPONENTS_IN_RUNS),
    "benchmarks": (*PLACES,),  # they drive all of it, as tests do
}

# What a package may load besides the standard library and itself.
FOREIGN = {
    # The operator's program, the container and nanochat's own Python read it; a recipe is loaded
    # by its name with importlib (contract/recipe.py), which no import statement shows: recipes are
    # data that may be added without a line here, and each imports the contract only.
    "container.contract": (),
    # urllib3 comes with botocore, and its errors are among those that mean "try again".
    "container.transport": (
        "boto3",
        "botocore",
        "urllib3",
        "container.contract",
        "container.contract.redacted",
    ),
    # Runs in nanochat's own Python, which has none of our packages.
    "container.nanochat": ("container.contract.upstream",),
}

# From the bottom up: a package imports what lies below its row, never beside or above it. A place
# itself stands for the modules directly in it that no row names.
LAYERS = {
    "components": (
        ("components",),
        ("components.config",),
        ("components.r2",),
        ("components.ledger",),
        ("components.ionet",),
        (
            "components.artifact_store",
            "components.preflight",
            "components.run_image",
        ),
        ("components.training_run",),
        ("components.outputs",),
    ),
    "container": (
        ("container.contract",),
        ("container.transport",),
        ("container.system", "container.storage"),
        ("container.telemetry",),
        ("container.stages", "container.web"),
        ("container.supervisor",),
    ),
    "localcloud": (
        ("localcloud",),
        (
            "localcloud.datasets",
            "localcloud.docker",
            "localcloud.object_store",
            "localcloud.pulumi.engine",
            "localcloud.pulumi.plugins",
            "localcloud.pulumi.stack",
        ),
        ("localcloud.cloudflare_api", "localcloud.env_file"),
        ("localcloud.dev_stack", "localcloud.services"),
        ("localcloud.cli", "localcloud.purge"),
        ("localcloud.__main__",),
        ("localcloud.main_job",),
    ),
    "localcloud.caas": (
        ("localcloud.caas",),
        ("localcloud.caas.runtime",),
        ("localcloud.caas.domain",),
        ("localcloud.caas.http",),
        ("localcloud.caas.__main__",),
    ),
    "runs": (
        ("runs",),
        ("runs.source", "runs.terminal"),
        ("runs.rentals",),
        ("runs.machines", "runs.model_client", "runs.remove"),
        ("runs.download", "runs.view"),
        ("runs.fetched_files", "runs.token_trial"),
        ("runs.checks", "runs.tokens", "runs.vendor_report"),
        ("runs.inventory",),
        ("runs.reaping",),
        ("runs.extending", "runs.giving_back", "runs.rented"),
        # Two places know how everything looks as a table.
        ("runs.view.rental_tables", "runs.view.tables"),
        ("runs.commands",),
        ("runs.cli",),
        ("runs.__main__",),
    ),
}

# Packages that stand for themselves: nothing in their place imports them, and they import of it
# only what is named.
APART = {
    "container.recipes": ("container.contract",),  # data
    "container.nanochat": ("container.contract",),  # started by a recipe, in nanochat's Python
    "container.toy_trainer": (),  # started by a recipe, as nanochat's programs are
    "localcloud.caas": (),  # a process of its own, restarted when a file in its folder changes
}


def lines(imports: list[Import]) -> str:
    return "\n".join(f"  {one}" for one in imports)


@pytest.mark.parametrize("place", sorted(CROSSINGS))
def test_only_what_is_named_crosses_between_the_places(place: str) -> None:
    of_place = [one for one in IMPORTS if lies_in(one.importer, place)]
    wrong = crossings(of_place, (*PLACES, "benchmarks"), CROSSINGS)
    assert not wrong, (
        f"\n{lines(wrong)}\nWhat both sides need belongs in container/contract (the standard "
        "library only) or container/transport; what is there for one command gets a line with its "
        "reason in OF_COMPONENTS_IN_RUNS."
    )


@pytest.mark.parametrize("package", sorted(FOREIGN))
def test_a_package_that_others_must_be_able_to_load_asks_for_nothing(package: str) -> None:
    wrong = foreign(IMPORTS, package, FOREIGN[package])
    assert not wrong, (
        f"\n{lines(wrong)}\n{package} may load the standard library, itself and "
        f"{', '.join(FOREIGN[package]) or 'nothing else'}: move what needs more out of it."
    )


def test_no_modules_load_one_another_in_a_circle() -> None:
    rings = circles(IMPORTS)
    assert not rings, (
        "\n" + "\n".join(rings) + "\nMove what both need into a module below them, or hand it in "
        "as an argument; an import inside a function only hides the circle."
    )


@pytest.mark.parametrize("place", sorted(LAYERS))
def test_no_import_goes_up_a_layer_or_across_one(place: str) -> None:
    wrong = against_layers(IMPORTS, LAYERS[place])
    assert not wrong, (
        f"\n{lines(wrong)}\nA module uses what lies below its row in LAYERS[{place!r}]. Move the "
        "code that is needed down, or the module that needs it up; a new module directly in a "
        "place stands at the bottom until a row names it."
    )


def picture() -> str:
    """Return the layers as docs/architecture.md draws them: each place from the top down."""
    drawn = []
    for place, rows in LAYERS.items():
        for index, row in enumerate(reversed(rows)):
            names = ["errors, …" if name == place else name[len(place) + 1 :] for name in row]
            head = f"{place.replace('.', '/')}/" if index == 0 else ""
            drawn.append(f"{head:<17}{' │ '.join(names)}")
        drawn.append("")
    for package, used in APART.items():
        below = ", ".join(name.replace(".", "/") for name in used) or "nothing of its place"
        drawn.append(f"{package.replace('.', '/') + '/':<24}uses {below}")
    return "\n".join(drawn)


@pytest.mark.parametrize("package", sorted(APART))
def test_a_package_that_stands_for_itself_stays_so(package: str) -> None:
    wrong = beside_layers(IMPORTS, package, APART[package])
    assert not wrong, (
        f"\n{lines(wrong)}\n{package} is run or loaded by its name, apart from the rest of its "
        "place; what it shares with that belongs in container/contract."
    )


def test_the_picture_in_the_docs_is_true() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    assert picture() in text, f"draw this under Layers in docs/architecture.md:\n{picture()}"


def test_every_package_has_its_layer_or_stands_for_itself() -> None:
    """A folder that no rule names would be one where everything is allowed."""
    ranked = {package for rows in LAYERS.values() for row in rows for package in row}
    folders = {
        name
        for name, path in MODULES.items()
        if path.name == "__init__.py" and len(name.split(".")) == 2 and lies_in(name, "container")
    }
    lost = sorted(folders - ranked - set(APART))
    assert not lost, f"give each a row in LAYERS or a line in APART: {', '.join(lost)}"


def test_the_paid_machine_never_imports_pulumi() -> None:
    wrong = [
        one for one in IMPORTS if lies_in(one.importer, "container") and lies_in(one.name, "pulumi")
    ]
    assert not wrong, f"\n{lines(wrong)}\nThe image has no Pulumi, and needs none."


def test_the_package_that_pulumi_unpickles_stays_where_old_stacks_look_for_it() -> None:
    assert (ROOT / "components/__init__.py").read_bytes() == b""
    assert (ROOT / "components/ionet/provider.py").is_file()


# Made anywhere else, a client would read other tools' files again: netrc, AWS profiles.
CLIENT_MAKERS = re.compile(
    r"\b(?:requests\.(?:get|post|put|patch|delete|head|options|request|session|Session)"
    r"|(?:boto3|botocore)(?:\.session)?\.(?:client|resource|Session|session))\("
)
ROOMS_OF_CLIENTS = ("components.http_session", "container.transport.r2")


def test_http_and_s3_clients_are_made_in_one_room_each() -> None:
    elsewhere = [
        f"{name}: {found.group()}"
        for name, path in MODULES.items()
        if name.startswith(PLACES) and name not in ROOMS_OF_CLIENTS
        for found in CLIENT_MAKERS.finditer(path.read_text())
    ]
    assert not elsewhere, f"use make_session or make_client: {', '.join(elsewhere)}"


def test_the_program_stays_short() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 60
