"""Stack config and environment to one frozen Settings, or one error with everything that is wrong.

Pure: asks nobody. It runs before anything is asked of anyone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from components import registry
from components.config.compatibility import CPU, timed_for, unfit
from components.config.endpoints import (
    CLOUDFLARE_TOKEN,
    World,
    differing_endpoint,
    entered,
    flaws,
    world_problems,
)
from components.config.keys import AUTO, PROJECT_NAMESPACE, RunKeys, StackKeys, values_of
from components.config.one_image import REHEARSAL, extra, target, unbuildable
from components.config.refusals import foreign_keys, parse, texts_in
from components.config.run_settings import RunSettings
from components.config.yaml_traps import Trap, traps
from components.errors import TrainstackError
from container.contract.environment import DEFAULT_RUN, NO_WANDB_RUN
from container.contract.pasted import cleaned_all, flaw
from container.contract.recipe import Recipe, RecipeError, apply_settings, load_recipe
from container.contract.redacted import MARK, without_secrets

MAX_NAME_LENGTH = 128  # of a deployment's private name
IDENTITY_AND_HASH_LENGTH = len("-12345678-12345678")
HEADER_SECRETS = ("ionetApiKey", "registrySecret", "wandbApiKey")
SECRET_KEYS = (*HEADER_SECRETS, "notifyUrl", "pingUrl")
HEADER_KEYS = (*HEADER_SECRETS, "registryUsername")
MIN_SECRET_LENGTH = 4  # a shorter one would take words out of the message
FITTING = frozenset(
    {
        "recipe",
        "recipeSettings",
        "gpuType",
        "gpusPerContainer",
        "durationHours",
        "deviceBatchSize",
        "nanochatCommit",
    }
)
"""The keys that must fit each other; when one is bad, whether they do is not told."""


class SettingsError(TrainstackError):
    """The stack's config cannot be used; the message lists every bad key at once."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The one image that all runs of the stack share, and where it is pushed."""

    server: str
    repository: str
    username: str
    secret: str = field(repr=False)
    target: str
    build_args: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the program needs to know, checked."""

    project: str
    stack: str
    world: World
    account_id: str
    bucket: str
    jurisdiction: str
    r2_endpoint: str
    dataset_mirror: str  # "": machines fetch everything from upstream
    hub_mirror: str  # "": machines fetch question sets from the hub itself
    image: ImageSettings
    runs: tuple[RunSettings, ...]
    ready_timeout_minutes: int
    stop_grace_s: int
    cloudflare_api_token: str = field(repr=False)
    wandb_api_key: str = field(repr=False)
    notify_url: str = field(repr=False)
    ping_url: str = field(repr=False)


def load_settings(
    config: Mapping[str, str],
    *,
    secret_keys: frozenset[str],
    env: Mapping[str, str],
    project: str,
    stack: str,
    stack_file: str = "",
) -> Settings:
    """Check the stack's whole config map, as Pulumi hands it over, and the environment.

    `stack_file` is the text of the stack's file, for what YAML changed in it.
    Raises SettingsError that names every bad key with its value (unless it is secret) and what is
    allowed.
    """
    config, env = cleaned_all(config), entered(env)
    prefix = PROJECT_NAMESPACE + ":"
    raw = {
        key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)
    }
    secret = {key.removeprefix(prefix) for key in secret_keys} | set(SECRET_KEYS)
    changed = traps(stack_file, given=raw)
    problems = [*_unencrypted(config, secret_keys), *foreign_keys(config)]
    keys, bad = parse(raw, secret=secret, problems=problems)
    problems = [*_told(changed, problems, secret=secret, stack=stack), *problems]
    cloud = raw.get("cloud", keys.cloud)
    problems += _unfit_for_headers(config)
    if "cloud" not in bad:
        problems += world_problems(cloud, env=env, config=config)
    problems += flaws(env)
    if not bad & {"cloudflareAccountId", "jurisdiction"}:
        problems += differing_endpoint(
            env, account_id=keys.cloudflareAccountId, jurisdiction=keys.jurisdiction
        )
    world = World.from_env(cloud, env=env)
    problems += _contradicting_registry(keys, server=world.registry_server, bad=bad)
    runs = checked_runs(keys, project=project, stack=stack, problems=problems, bad=bad)
    if problems:
        hidden = [config.get(key, "") for key in (*secret_keys, *map(prefix.__add__, SECRET_KEYS))]
        raise SettingsError(_all_of(problems, stack=stack, hidden=hidden))
    recipe = next(iter(runs)).recipe
    return Settings(
        project=project,
        stack=stack,
        world=world,
        account_id=keys.cloudflareAccountId,
        bucket=keys.bucket,
        jurisdiction=keys.jurisdiction,
        r2_endpoint=world.r2_endpoint(keys.cloudflareAccountId, jurisdiction=keys.jurisdiction),
        dataset_mirror=keys.datasetMirror or world.dataset_mirror_url,
        hub_mirror=keys.hubMirror,
        image=_image(keys, world=world, env=env, recipe=load_recipe(recipe)),
        runs=runs,
        ready_timeout_minutes=keys.readyTimeoutMinutes,
        stop_grace_s=keys.stopGraceSeconds,
        cloudflare_api_token=env.get("CLOUDFLARE_API_TOKEN") or config.get(CLOUDFLARE_TOKEN, ""),
        wandb_api_key=keys.wandbApiKey,
        notify_url=keys.notifyUrl,
        ping_url=keys.pingUrl,
    )


def _unencrypted(config: Mapping[str, str], secret_keys: frozenset[str]) -> list[str]:
    wanted = [f"{PROJECT_NAMESPACE}:{key}" for key in SECRET_KEYS]
    problems = [_encrypt(key) for key in wanted if key in config and key not in secret_keys]
    if config.get(CLOUDFLARE_TOKEN) and CLOUDFLARE_TOKEN not in secret_keys:
        left = "make another token if the stack file has left this machine"
        problems.append(f"{_encrypt(CLOUDFLARE_TOKEN)}; {left}")
    return problems


def _encrypt(key: str) -> str:
    return f"{key}: must be stored encrypted: pulumi config set --secret {key}"


def _unfit_for_headers(config: Mapping[str, str]) -> list[str]:
    """Return one line for each key or login of the config that no header can carry."""
    keys = (*(f"{PROJECT_NAMESPACE}:{key}" for key in HEADER_KEYS), CLOUDFLARE_TOKEN)
    found = (flaw(key, config.get(key, ""), lines=key.endswith("Secret")) for key in keys)
    return [text for text in found if text]


def _told(changed: list[Trap], problems: list[str], *, secret: Set[str], stack: str) -> list[str]:
    """Return one line for each value that YAML changed; what else is said of it is taken back."""
    lines: list[str] = []
    for trap in changed:
        key = f"{PROJECT_NAMESPACE}:{trap.key}"
        problems[:] = [one for one in problems if not one.startswith((f"{key} ", f"{key}:"))]
        if trap.root in secret:
            lines.append(
                f"{PROJECT_NAMESPACE}:{trap.root}: YAML reads the value (secret) as another one; "
                "put it in quotes"
            )
            continue
        lines.append(
            f"{key} = {trap.became}: Pulumi.{stack}.yaml says {trap.text} (line {trap.line}), "
            "which YAML reads as another value; put it in quotes"
        )
    return lines


def _contradicting_registry(keys: StackKeys, *, server: str, bad: frozenset[str]) -> list[str]:
    own = registry.server_in(keys.imageRepository)
    wanted = server or keys.registryServer
    if not own or bad & {"imageRepository", "registryServer"} or registry.is_same(own, wanted):
        return []
    rest = keys.imageRepository.removeprefix(f"{own}/")
    where = "REGISTRY_SERVER" if server else f"{PROJECT_NAMESPACE}:registryServer"
    text = (
        f"{PROJECT_NAMESPACE}:imageRepository = {keys.imageRepository}: names the registry {own}, "
        f"but {where} is {wanted}; must be {rest}, and registryServer {own} if that is meant"
    )
    return [text]


def _all_of(problems: list[str], *, stack: str, hidden: Iterable[str]) -> str:
    """Return one message of all problems, in which no secret is left, whole or in part."""
    count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
    listed = "\n".join(f"  {problem}" for problem in problems)
    whole = {text for one in hidden for text in texts_in(one) if len(text) >= MIN_SECRET_LENGTH}
    # As they are, and as a message writes what does not fit on a line.
    spelled = whole | {json.dumps(text)[1:-1] for text in whole} | {repr(t)[1:-1] for t in whole}
    for secret in sorted(spelled, key=len, reverse=True):
        listed = listed.replace(secret, MARK)
    # Half a pair of code units stands for no character: no message could be sent with it.
    listed = without_secrets(listed).encode(errors="backslashreplace").decode()
    return f"stack {stack} cannot be used, {count} (nothing was asked of anyone):\n{listed}"


def checked_runs(
    keys: StackKeys, *, project: str, stack: str, problems: list[str], bad: frozenset[str]
) -> tuple[RunSettings, ...]:
    """Return the runs that the keys declare; add a line for each that cannot be."""
    runs: list[RunSettings] = []
    recipes: dict[str, Recipe] = {}
    for name, overrides in (keys.runs or {DEFAULT_RUN: RunKeys()}).items():
        where = f"{PROJECT_NAMESPACE}:" + (f"runs.{name}." if keys.runs else "")
        chosen = values_of(keys, overrides)
        key = "recipe"
        try:
            recipe = load_recipe(chosen.recipe)
            key = "recipeSettings"
            recipe = apply_settings(recipe, chosen.recipeSettings)
        except RecipeError as error:
            problems.append(f"{where}{key}: {error}")
            continue
        recipes[name] = recipe
        run = RunSettings(
            name=name,
            in_sweep=bool(keys.runs),
            recipe=recipe.name,
            recipe_settings=chosen.recipeSettings,
            trained=recipe.values(),
            nanochat_commit=keys.nanochatCommit or recipe.nanochat_commit,
            gpu_type=CPU if chosen.gpuType.upper() == CPU else chosen.gpuType,
            gpus_per_container=chosen.gpusPerContainer,
            locations=tuple(sorted({country.upper() for country in chosen.locations})),
            duration_hours=0 if chosen.durationHours == AUTO else chosen.durationHours,
            first_hours=chosen.firstHours,
            attempts=chosen.attempts,
            max_cost_usd=chosen.maxCostUsd,
            max_usd_per_gpu_hour=chosen.maxUsdPerGpuHour,
            auto_extend=chosen.autoExtend,
            device_batch_size=chosen.deviceBatchSize,
            keep_alive=chosen.keepAlive,
            wandb_run=chosen.wandbRun,
            rerun=chosen.rerun,
            renew=chosen.renew,
            timed_for=timed_for(recipe, gpus=chosen.gpusPerContainer),
        )
        runs.append(run)
        if "runs" in bad:
            continue  # what it overrides is not known
        if not bad & FITTING:
            problems += unfit(run, recipe, where=where)
        if "wandbRun" not in bad and run.wandb_run != NO_WANDB_RUN and not keys.wandbApiKey:
            problems.append(
                f"{where}wandbRun = {run.wandb_run}: needs a key: pulumi config set --secret "
                f"{PROJECT_NAMESPACE}:wandbApiKey; {NO_WANDB_RUN} reports nothing"
            )
        length = len(f"{project}-{stack}-{name}") + IDENTITY_AND_HASH_LENGTH
        if length > MAX_NAME_LENGTH:
            problems.append(
                f"{where}name: {project}-{stack}-{name} is {length - MAX_NAME_LENGTH} characters "
                "too long for a deployment's name; use a shorter stack or run name"
            )
    if not bad & {"runs", "recipe", "nanochatCommit"}:
        problems += unbuildable(recipes, commit=keys.nanochatCommit)
    return tuple(runs)


def _image(
    keys: StackKeys, *, world: World, env: Mapping[str, str], recipe: Recipe
) -> ImageSettings:
    commit = keys.nanochatCommit or recipe.nanochat_commit
    revision, _, sha256 = keys.flashAttention.partition("@sha256:")
    args = (
        {"BASE_IMAGE": world.base_image, "PIP_INDEX_URL": keys.buildArgs.get("PIP_INDEX_URL", "")}
        if target(recipe) == REHEARSAL
        else {
            "CUDA_BASE": keys.cudaBase,
            "NANOCHAT_COMMIT": commit,
            "NANOCHAT_EXTRA": extra(recipe),
            "FA3_REVISION": revision,
            "FA3_SHA256": sha256,
            **keys.buildArgs,
        }
    )
    return ImageSettings(
        server=world.registry_server or keys.registryServer,
        repository=keys.imageRepository.removeprefix(
            f"{registry.server_in(keys.imageRepository)}/"
        ),
        username=keys.registryUsername or env.get("REGISTRY_USERNAME", ""),
        secret=keys.registrySecret or env.get("REGISTRY_SECRET", ""),
        target=target(recipe),
        build_args={name: value for name, value in args.items() if value},
    )
