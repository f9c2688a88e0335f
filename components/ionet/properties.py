"""Pulumi's property maps of the three dynamic resources, decoded to frozen types; no I/O.

Numbers arrive as floats, None and empty values vanish on the way, and what is not known yet (in a
preview) is an Unknown: this is the one place that knows so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from pulumi.output import Unknown

from components.config.compatibility import CPU
from components.config.run_settings import TimedFor
from components.ionet import fingerprint, machine_state
from components.ionet.models import DeployRequest
from components.ionet.offers import Offer, Wish
from components.ledger.page import Owner
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import RunPlace
from container.contract.environment import written

Props = Mapping[str, Any]

AUTO_HOURS = "autoHours"
"""There where the config leaves the hours to the machine that is found: they are resolved once."""

INTEGERS = (
    "attempts",
    "autoExtend",
    "durationHours",
    machine_state.EXTENDED_HOURS,
    "firstHours",
    "gpusPerContainer",
    "hoursFirst",
    "plannedHours",
    "renew",
    "trafficPort",
)


class _UnknownValue:
    """Differs from everything, itself included: what is not known yet counts as changed."""

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _UnknownValue()


@dataclass(frozen=True, kw_only=True)
class Rental:
    """What a CaasDeployment asks for, once everything is known."""

    cloud: str
    private_name: str
    name_prefix: str  # of this identity: what bears it is this run's, whatever its other inputs
    owner: Owner
    identity: str
    renew: int
    run: str
    wish: Wish
    offer: Offer
    first_hours: int  # bought before the machine is checked; 0: it is not, and all are bought
    attempts: int  # how many machines it may try; 0 in a state of before that was counted
    max_cost_usd: Decimal
    place: RunPlace
    image: str
    entrypoint: tuple[str, ...]
    traffic_port: int
    env: Mapping[str, str]
    credentials_expire_on: str
    access: S3Access
    access_token: str = field(repr=False)
    wandb_api_key: str = field(repr=False)
    notify_url: str = field(repr=False)
    ping_url: str = field(repr=False)
    registry_username: str
    registry_secret: str = field(repr=False)

    @property
    def bought_hours(self) -> int:
        """How many of the planned hours are bought before the machine is checked."""
        return min(self.first_hours or self.wish.hours, self.wish.hours)

    def secret_env(self) -> dict[str, str]:
        """Return the secret variables that the container gets."""
        return written(
            access_key_id=self.access.access_key_id,
            secret_access_key=self.access.secret_access_key,
            access_token=self.access_token,
            wandb_api_key=self.wandb_api_key,
            notify_url=self.notify_url,
            ping_url=self.ping_url,
        )

    @property
    def gpu_rented(self) -> str:
        """What the machine has to show, as far as its offer tells; "" without a GPU."""
        return "" if self.wish.gpu_type == CPU else self.offer.gpu.with_memory

    def request(self, *, private_name: str) -> DeployRequest:
        """Return the request that rents it under that name, with the container's fingerprint."""
        secrets = self.secret_env()
        env = {
            **self.env,
            **written(
                image_digest=self.image,
                duration_hours=self.bought_hours,
                price_usd_per_hour=self.offer.price_usd_per_hour,
                gpu_rented=self.gpu_rented,
                rental=private_name,
            ),
        }
        return DeployRequest(
            private_name=private_name,
            duration_hours=self.bought_hours,
            gpus_per_container=self.wish.gpus,
            hardware_id=self.offer.hardware_id,
            location_ids=self.offer.location_ids,
            image=self.image,
            entrypoint=self.entrypoint,
            traffic_port=self.traffic_port,
            env={**env, **written(fingerprint=fingerprint.of(env, secrets))},
            secret_env=secrets,
            registry_username=self.registry_username,
            registry_secret=self.registry_secret,
        )


def known(props: Props) -> dict[str, Any]:
    """Return the properties with integers restored and Unknowns as one value equal to nothing."""
    return {key: _restored(key, value) for key, value in props.items() if not key.startswith("__")}


def wish(props: Props) -> Wish:
    """Read the wish, which is known in a preview too."""
    values = known(props)
    return Wish(
        gpu_type=values["gpuType"],
        gpus=values["gpusPerContainer"],
        locations=tuple(values.get("locations") or ()),
        hours=values.get(machine_state.HOURS) or 0,
        max_usd_per_gpu_hour=machine_state.max_usd_per_gpu_hour(values),
        timed_for=_timed_for(values.get("timedFor")),
    )


def first_hours(props: Props, *, planned_hours: int) -> int:
    """Return how many hours are bought before the machine is checked; 0 where all are at once."""
    first = known(props).get("firstHours") or 0
    return first if first < planned_hours else 0


def hours_of(wanted: Rental, *, bought: int) -> dict[str, int]:
    """Return the hours of a rental as its state has them: the planned ones of one to be checked."""
    if not wanted.first_hours:
        return {machine_state.HOURS: bought}
    return {machine_state.HOURS: max(bought, wanted.wish.hours), machine_state.HOURS_FIRST: bought}


def timed_for(figures: TimedFor) -> dict[str, str | float]:
    """Return what a recipe's figures hold for, as a property."""
    return {"gpu": figures.gpu, "hours": figures.hours, "memoryGb": figures.memory_gb}


def _timed_for(value: Any) -> TimedFor | None:
    # Not there in a state of before it was stored, nor for a run without a GPU.
    if not isinstance(value, Mapping):
        return None
    members = cast("Mapping[str, Any]", value)
    return TimedFor(
        gpu=members["gpu"],
        hours=members.get("hours") or 0.0,
        memory_gb=members.get("memoryGb") or 0.0,
    )


def as_chosen(olds: Props, news: Props) -> dict[str, Any]:
    """Return the inputs of a machine that was chosen before, with its offer.

    Hours that the config leaves open are those that were resolved then, or that an older release's
    config had as a number: a better estimate extends and replaces nothing.
    """
    kept = {machine_state.OFFER: olds[machine_state.OFFER]}
    if leaves_hours_open(news):
        kept[machine_state.HOURS] = olds[machine_state.HOURS]
    return {**news, **kept}


def leaves_hours_open(props: Props) -> bool:
    """Whether the config leaves it to the machine that is found how many hours are bought."""
    return bool(props.get(AUTO_HOURS))


def rental(props: Props) -> Rental:
    """Decode a deployment's complete properties."""
    values = known(props)
    chosen = machine_state.offer(props)
    run_access = machine_state.access(props)
    if chosen is None or run_access is None:
        raise ValueError("a deployment without a chosen offer or without credentials")
    return Rental(
        cloud=values["cloud"],
        private_name=values["privateName"],
        name_prefix=values["namePrefix"],
        owner=machine_state.owner(props),
        identity=values["identity"],
        renew=values.get("renew") or 0,
        run=values["run"],
        wish=wish(props),
        offer=chosen,
        first_hours=values.get("firstHours") or 0,
        attempts=values.get("attempts") or 0,
        max_cost_usd=machine_state.cap_usd(props),
        place=machine_state.place(props),
        image=values["image"],
        entrypoint=tuple(values["entrypoint"]),
        traffic_port=values["trafficPort"],
        env=cast("dict[str, str]", values.get("env") or {}),
        credentials_expire_on=values.get("credentialsExpireOn") or "",
        access=run_access,
        access_token=values.get("accessToken") or "",
        wandb_api_key=values.get("wandbApiKey") or "",
        notify_url=values.get("notifyUrl") or "",
        ping_url=values.get("pingUrl") or "",
        registry_username=values.get("registryUsername") or "",
        registry_secret=values.get("registrySecret") or "",
    )


def dollars(amount: Decimal) -> int | float:
    """Return an amount as a property holds it: whole dollars as a whole number."""
    return int(amount) if amount == int(amount) else float(amount)


def inputs_of(state: Props, *, outputs: tuple[str, ...]) -> dict[str, Any]:
    """Return the inputs within a resource's state: all but what its creation added."""
    return {
        key: value
        for key, value in state.items()
        if key not in outputs and not key.startswith("__")
    }


def _restored(key: str, value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNKNOWN
    if key in INTEGERS and isinstance(value, float):
        return int(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _restored(name, item) for name, item in items}
    if isinstance(value, list):
        return [_restored("", item) for item in cast("list[Any]", value)]
    return value
