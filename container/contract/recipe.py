"""What a recipe is, as data: stages, settings, sizes; loading one by name; no training, no I/O.

A recipe is a module in `container/recipes/` (name with `_` for `-`) with a constant `RECIPE`.
Command lines and environments are templates: `{depth}` is a setting, and besides the settings
these names are known (`PLACEHOLDERS`): `{workdir}` the work folder, `{app}` the folder that holds
`container/`, `{python}` the interpreter of the supervisor, `{tag}` the recipe's model tag,
`{device_batch_size}`, `{world_size}`, `{resume_step}` (in `resume_argv` only), `{mirror_url}`
(empty when there is none), `{wandb_run}`, `{port}` (in `Chat` only), `{nanochat_commit}`.

`{fp8:--fp8}` on a bool gives the text behind the colon when it is true, else nothing. An argument
that comes out empty, or as `--flag=` with nothing behind it, is left out.

Standard library only: the operator's program validates settings with this module too.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import string
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from container.contract.commits import Generation, misfit
from container.contract.gpu_name import GpuName
from container.contract.nearest import hint
from container.contract.recipe_hours import SettingValue as SettingValue
from container.contract.recipe_hours import Timing, base_hours, hours, share_left

PLACEHOLDERS = frozenset(
    {
        "workdir",
        "app",
        "python",
        "tag",
        "device_batch_size",
        "world_size",
        "resume_step",
        "mirror_url",
        "wandb_run",
        "port",
        "nanochat_commit",
    }
)


GPU_COUNTS: Final = (1, 2, 4, 8)
"""How many GPUs nanochat shares a step evenly among; it stops with an assertion on others."""


class RecipeError(ValueError):
    """A recipe or its settings cannot be used; the message names everything that is wrong."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its default also gives its type (an int is accepted where a float is asked)."""

    default: SettingValue
    help: str
    minimum: float | None = None
    choices: tuple[SettingValue, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A local folder whose files go to the bucket.

    `local` and `key` are templates, relative to the work folder and to the run prefix.

    kind "checkpoint": `local` holds `<tag>/model_000100.pt, meta_000100.json,
    optim_000100_rank<r>.pt`; a step is taken when it is complete, and gets a marker.
    `optimizer_files` says how many optimizer files a complete step has.
    kind "file": every file below `local` (or the one file that it names) is taken when its stage
    has ended.
    """

    local: str
    key: str
    kind: Literal["checkpoint", "file"]
    optimizer_files: Literal["every rank", "first rank", "none"] = "every rank"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: a command line with its limits, what it must leave behind, what is kept of it."""

    name: str
    argv: tuple[str, ...]
    time_limit_s: float
    resume_argv: tuple[str, ...] = ()  # appended when a checkpoint of this stage is resumed
    env: Mapping[str, str] = field(default_factory=dict[str, str])  # templates, like argv
    cwd: str = "{app}"
    first_step_limit_s: float = 1800.0  # T1; counts only with progress "nanochat"
    step_limit_s: float = 900.0  # T2: must cover evaluations, which print no step lines
    silence_limit_s: float = 0.0  # T3: without a line of output, for stages without steps; 0: none
    retries: int = 1  # after a failure that is neither out of memory nor a stall
    stall_retries: int = 1
    # Globs below the work folder, one match each when it succeeds. A done stage whose outputs are
    # there is not run again; one with neither outputs nor uploads is run at each start.
    outputs: tuple[str, ...] = ()
    uploads: tuple[Upload, ...] = ()
    progress: Literal["nanochat", "none"] = "none"
    saves_every: str = ""  # template: steps from one save to the next; "": only its end is saved
    saves_once: bool = False  # its only checkpoint is its last: one that is complete means done
    needs_credentials: bool = False  # gets WANDB_API_KEY; storage credentials are never given
    runs_model_code: bool = False  # executes what the model wrote: environment stripped to the bone
    needed_by: str = ""  # when set: runs in the background, and is waited for before that stage
    only_for: tuple[str, ...] = ()  # skipped when all these stages are done: nobody else needs it
    optional: bool = False  # its failure is reported and the run goes on


@dataclass(frozen=True, kw_only=True)
class Chat:
    """The process that serves the finished model on 127.0.0.1:{port}, behind the status page.

    It answers GET /health with 200 when the model is loaded. Dialect "openai": POST
    /v1/chat/completions, streaming too. Dialect "nanochat": POST /chat/completions of nanochat's
    chat_web (server-sent events of `{"token": …}`, then `{"done": true}`), which is translated.
    """

    argv: tuple[str, ...]
    dialect: Literal["openai", "nanochat"]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str = "{app}"
    start_limit_s: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run as data."""

    name: str
    title: str
    stages: tuple[Stage, ...]
    settings: Mapping[str, Setting]
    tag: str  # template of the model tag, such as "d{depth}"
    expected_hours: float
    disk_bytes: int  # free space that the work folder needs
    device_batch_size: int  # start value; halved when memory runs out
    gpu_type: str = "CPU"  # that it is timed for, such as "H100 SXM"; "CPU": expects no GPU
    gpus: int = 0  # that the numbers above are for; 0 for CPU
    min_gpu_memory_bytes: int = 0
    min_shm_bytes: int = 0
    timing: Timing | None = None  # what of its hours settings change; None: nothing is known
    nanochat_commit: str = ""
    nanochat: Generation | None = None  # that it is written for; None: it runs none of its programs
    chat: Chat | None = None
    all_reduce: Stage | None = None  # a part of `verify`, before all stages: may the ranks reduce?

    def times_as_long(self, *, gpu_type: str, gpus: int) -> float:
        """Return how many times as long it takes on these GPUs as on those that it is timed for.

        Its hours and the limits of its stages are multiplied by it.
        """
        share = self.gpus / gpus if self.gpus else 1.0
        return share * slowness(gpu_type) / slowness(self.gpu_type)

    def hours_with(self, values: Mapping[str, SettingValue]) -> float:
        """Return how long it takes with other settings, on the GPUs that it is timed for."""
        if self.timing is None:
            return self.expected_hours
        return hours(
            self.timing,
            timed=self.values(),
            values=values,
            expected_hours=self.expected_hours,
            gpus=self.gpus,
        )

    def base_seconds(self, *, gpu_type: str, gpus: int) -> float:
        """Return how long base training takes with its settings on these GPUs; 0: not known."""
        if self.timing is None or not self.gpus:
            return 0.0
        timed = load_recipe(self.name).values() if self.name in known_recipes() else self.values()
        on_timed = base_hours(self.timing, timed=timed, values=self.values())
        return on_timed * 3600 * self.times_as_long(gpu_type=gpu_type, gpus=gpus)

    def share_left(self, *, stage: str, step: int) -> float:
        """Return the share of its hours with its settings that is left after a checkpoint."""
        if self.timing is None:
            return 1.0
        timed = load_recipe(self.name)
        return share_left(
            self.timing,
            timed=timed.values(),
            values=self.values(),
            whole_hours=timed.hours_with(self.values()),
            stage=stage,
            step=step,
        )

    def values(self) -> dict[str, SettingValue]:
        """Return the settings as a flat mapping, overrides applied."""
        return {name: setting.default for name, setting in self.settings.items()}


SPEED: Final[Mapping[str, float]] = {
    "H100 PCIe": 1 / 1.6,
    "H100 NVL": 1 / 1.4,
    "H200 NVL": 835 / 989,
    "A100": 312 / 989,
    "A100 PCIe": 312 / 989 * 0.9,
    "A40": 150 / 989,
    "A10": 125 / 989,
    "A6000": 155 / 989,
    "L40S": 362 / 989,
    "L40": 181 / 989,
    "L4": 121 / 989,
    "3090": 71 / 989,
    "4090": 165 / 989,
    "5090": 210 / 989,
    "H20": 148 / 989,
}
"""Speed against an H100 SXM, by family and form; a form that is not here is as fast as its family,
and what is not here at all counts as equal, which is too slow for what is faster.

H100 PCIe: measured, eight of them took 58 % longer on io.net's own example, as 350 W bound them
more than their 756 teraflops. H100 NVL: 835 teraflops under the same bound (computed, not
measured). The rest: dense bf16 teraflops from the vendor's data sheets, 989 for the H100 SXM; an
A100 PCIe has 300 W where an A100 SXM has 400 (about a tenth slower).
"""


def slowness(gpu_type: str) -> float:
    """Return how many times as long a step takes as on an H100 SXM; a name may leave the form open.

    Then it is that of the fastest form: a machine of another one is not what was ordered.
    """
    gpu = GpuName.parse(gpu_type)
    return 1 / SPEED.get(str(gpu), SPEED.get(gpu.family, 1.0))


def is_one_of(gpu_type: str, families: Set[str]) -> bool:
    """Tell whether a GPU's name, as a catalogue writes it, names one of these families."""
    return GpuName.parse(gpu_type).family in families


def load_recipe(name: str) -> Recipe:
    """Return the recipe of that name; raises RecipeError that lists the known ones."""
    known = known_recipes()
    if name not in known:
        near = hint(name, known, all_told=True)
        raise RecipeError(f"recipe {name!r} is unknown; known are: {', '.join(known)}{near}")
    recipe = importlib.import_module(f"container.recipes.{name.replace('-', '_')}").RECIPE
    if not isinstance(recipe, Recipe) or recipe.name != name:
        raise RecipeError(f"container/recipes: RECIPE of {name!r} is not a Recipe of that name")
    return recipe


def commit_misfit(recipe: Recipe, commit: str) -> str:
    """Return why a recipe cannot be run with a commit, and with which it can; "" when it can."""
    every = {name: load_recipe(name).nanochat for name in known_recipes()}
    every[recipe.name] = recipe.nanochat
    known = {name: one for name, one in every.items() if one is not None}
    return misfit(commit, recipe=recipe.name, known=known)


def known_recipes() -> list[str]:
    """Return the names of all recipes, sorted."""
    package = importlib.import_module("container.recipes")
    return sorted(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    )


def apply_settings(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return the recipe with overridden settings.

    Raises one RecipeError that names every unknown key and every wrong type or value.
    """
    problems: list[str] = []
    settings = dict(recipe.settings)
    for key, value in overrides.items():
        setting = settings.get(key)
        if setting is None:
            problems.append(f"{key}: unknown setting{hint(key, recipe.settings)}")
            continue
        problem = _problem(setting, value)
        if problem:
            problems.append(f"{key}: {value!r} {problem}")
            continue
        typed = float(value) if isinstance(setting.default, float) else value
        settings[key] = dataclasses.replace(setting, default=typed)
    if problems:
        raise RecipeError(f"recipeSettings of {recipe.name}: " + "; ".join(problems))
    return dataclasses.replace(recipe, settings=settings)


def as_asked(recipe: Recipe, *, settings: Mapping[str, Any], commit: str) -> Recipe:
    """Return the recipe with overridden settings, for the commit of nanochat in an image.

    Raises RecipeError for settings and commits that it cannot be run with; "" is no commit.
    """
    if commit and (wrong := commit_misfit(recipe, commit)):
        raise RecipeError(f"the image's nanochat, {commit}: {wrong}")
    return apply_settings(recipe, settings)


def render(template: str, values: Mapping[str, SettingValue]) -> str:
    """Fill one template; raises RecipeError for a name that is not known."""
    try:
        return _Templates().vformat(template, (), values)
    except (KeyError, IndexError, ValueError) as error:
        raise RecipeError(f"template {template!r}: {error} is not known") from None


def render_argv(templates: Sequence[str], values: Mapping[str, SettingValue]) -> list[str]:
    """Fill a command line, leaving out arguments that come out empty or as a bare `--flag=`."""
    filled = [render(template, values) for template in templates]
    return [item for item in filled if item and not (item.startswith("--") and item.endswith("="))]


_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _problem(setting: Setting, value: Any) -> str:
    kind = type(setting.default)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if type(value) is not kind and (kind is not float or number is None):
        return f"must be {_KINDS[kind]}"
    if setting.choices and value not in setting.choices:
        return f"must be one of {', '.join(map(repr, setting.choices))}"
    if setting.minimum is not None and number is not None and not number >= setting.minimum:
        return f"must be at least {setting.minimum:g}"
    return ""


class _Templates(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        if isinstance(value, bool):
            if format_spec:
                return format_spec if value else ""
            return "1" if value else "0"
        return super().format_field(value, format_spec)
