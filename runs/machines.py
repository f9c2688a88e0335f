"""The machines of this project that io.net lists, known to a state or not; gives some back.

The account is asked, not a stack: what is found here bills even when every state is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from components.config.endpoints import IONET_KEY, LOCAL, LOCAL_MARK, mixed_worlds
from components.ionet import cost
from components.ionet.client import DEFAULT_BASE_URL, Client
from components.ionet.errors import IonetError, KeyRefusedError, NotGoneError, UnclearError
from components.ionet.models import Deployment, DeploymentRow
from components.ionet.rental import account
from components.ionet.rental.give_back import GONE_WITHIN_S
from components.ionet.rental.give_back import give_back as destroy
from container.contract.environment import VARIABLES
from runs import rentals
from runs.errors import AccessRefusedError, RunsError, SettingMissingError, UnreachableError
from runs.rentals import Rental
from runs.source.run_names import composes
from runs.source.source import Source
from runs.source.stack import NoStackError
from runs.waits import waiting

NAME_PREFIX = (
    "trainstack-"  # of every deployment that the program rents: components/training_run.py
)
REAL = "io.net"
_HASH = len("-deadbeef")  # what private names and prefixes end in, each with its own
READ_TIMEOUT_S = 60.0  # the service has taken 30 s to answer
RETRY_FOR_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One deployment that has not ended.

    `in_state` is None when no state could be asked. `hours_left` is the fewest and the most that
    io.net's minutes can mean; it and `paid_usd` are None when io.net told no details.
    """

    deployment_id: str
    name: str
    status: str
    paid_usd: Decimal | None
    hours_left: tuple[float, float] | None
    in_state: bool | None
    rental: Rental | None = None  # what the ledger says of it
    prefix: str = ""  # of its run, by its own variables; "" where io.net tells none
    hours_bought: float | None = None  # None where io.net's minutes make no whole hours
    kept_alive: bool | None = None  # to serve its model after the run; None where that is not told

    def is_of(self, prefix: str) -> bool:
        """Say whether the run of this prefix is trained, or was, on it."""
        if self.prefix:
            return self.prefix == prefix
        family = f"{NAME_PREFIX}{prefix[:-_HASH]}"
        return composes(prefix) and self.name[:-_HASH] == family


def check_world(source: Source) -> None:
    """Raise SettingMissingError when shell and stack mean two worlds, or the shell half of one."""
    problems = mixed_worlds(_cloud(source), env=source.environ)
    if problems:
        raise SettingMissingError("\n".join(problems))


def open_client(source: Source, *, read_timeout_s: float, retry_for_s: float) -> Client:
    """Return a client of the operator's account; raises SettingMissingError without a key."""
    key, base_url = account_of(source)
    return Client(key, base_url=base_url, read_timeout_s=read_timeout_s, retry_for_s=retry_for_s)


def account_of(source: Source) -> tuple[str, str]:
    """Return the operator's key and the vendor's address; raises SettingMissingError without."""
    if not source.ionet_key:
        raise SettingMissingError(
            f"no io.net key: IOCLOUD_API_KEY is not set, nor is {IONET_KEY} in a stack's config.\n"
            "Set one, name the stack (--stack), or in the local world: source .local/env"
        )
    return source.ionet_key, source.environ.get("IONET_BASE_URL") or DEFAULT_BASE_URL


def known_ids(source: Source) -> frozenset[str] | None:
    """Return the ids in the state of the given or selected stack; None when there is no stack.

    With `--bucket` only a stack that is named is asked. One that was named and cannot be read is an
    error: its machines are not unknown ones. One that Pulumi does not know has lost its state.
    """
    if source.selector.bucket and not source.selector.stack:
        return None
    try:
        return source.state_ids
    except NoStackError:
        return None
    except SettingMissingError:
        if source.selector.stack:
            raise
        return None


def living(client: Client) -> list[DeploymentRow]:
    """Return the deployments that bear this project's name and have not ended."""
    return [row for row in listed(client) if row.life != "ended" and is_ours(row)]


def listed(client: Client) -> list[DeploymentRow]:
    """Return all deployments that the account lists, ended ones and strangers' too."""
    with explained(client):
        return client.deployments()


def is_ours(row: DeploymentRow) -> bool:
    """Say whether a deployment bears this project's name."""
    return row.name.startswith(NAME_PREFIX)


def looked_up(client: Client, rental: Rental) -> tuple[Rental, DeploymentRow | None]:
    """Ask by ID for a machine that the account does not list: a list may lag behind.

    Returns the entry with what is shown, and the row that the list lacks of a living one.
    """
    deployment_id, name = rental.entry.deployment_id, rental.entry.name
    if not (rental.is_unseen and deployment_id):
        return rental, None
    with explained(client):
        deployment = account.details(client, deployment_id)
    if deployment is None:
        return rental, None
    rental = dataclasses.replace(rental, shown=deployment.life)
    if deployment.life == "ended":
        return rental, None
    return rental, DeploymentRow(id=deployment_id, name=name, status=deployment.status)


def machines(
    client: Client,
    rows: Sequence[DeploymentRow],
    *,
    known: frozenset[str] | None,
    of_ledger: Sequence[Rental] = (),
) -> list[Machine]:
    """Return what each deployment has cost and may still cost, those that no state knows first."""
    found = [
        _machine(
            row,
            _details(client, row),
            in_state=None if known is None else row.id in known,
            rental=rentals.of_machine(row, of_ledger),
        )
        for row in rows
    ]
    return sorted(found, key=lambda machine: (machine.in_state is True, machine.name))


def give_back(client: Client, machine: Machine) -> None:
    """Destroy a deployment, and return when io.net says that it is gone; takes minutes at most.

    Raises RunsError when it is not gone, or this is not known: it may then still bill.
    """
    with explained(client, within_s=GONE_WITHIN_S):
        destroy(client, machine.deployment_id, name=machine.name)


@contextmanager
def explained(client: Client, *, within_s: float = 0.0) -> Generator[None]:
    """Turn what io.net's client raises within into this program's errors; tells of the wait.

    It is for one call, unless more time is said.
    """
    try:
        with waiting("io.net", at_most_s=within_s or client.answers_within_s):
            yield
    except KeyRefusedError as error:
        raise AccessRefusedError(str(error)) from None
    except UnclearError as error:
        raise UnreachableError(str(error)) from None
    except NotGoneError:
        raise RunsError(
            "io.net still lists it, a quarter of an hour after it was given back."
        ) from None
    except IonetError as error:
        raise RunsError(str(error)) from None


def _cloud(source: Source) -> str:
    """Return the world that the stack names, or without one the world that the shell is in."""
    of_shell = LOCAL if source.environ.get(LOCAL_MARK) else REAL
    if source.selector.bucket and not source.selector.stack:
        return of_shell
    try:
        # A stack's config is empty with `--bucket` where Pulumi knows no such stack.
        return source.config.get("cloud", of_shell if source.selector.bucket else REAL)
    except NoStackError:
        return of_shell
    except SettingMissingError:
        if source.selector.stack:
            raise
        return of_shell


def _details(client: Client, row: DeploymentRow) -> Deployment | None:
    try:
        with explained(client):
            return client.deployment(row.id)
    except RunsError as error:
        if isinstance(error, AccessRefusedError | UnreachableError):
            raise
        return None  # it is in the list, so it is shown, with whatever is known


def _machine(
    row: DeploymentRow,
    deployment: Deployment | None,
    *,
    in_state: bool | None,
    rental: Rental | None,
) -> Machine:
    env = deployment.env if deployment else None
    return Machine(
        deployment_id=row.id,
        name=row.name,
        status=row.status,
        paid_usd=deployment.amount_paid_usd if deployment else None,
        hours_left=account.hours_left(deployment) if deployment else None,
        in_state=in_state,
        rental=rental,
        hours_bought=_hours_bought(deployment) if deployment else None,
        prefix=str(_told(deployment, "prefix") or ""),
        kept_alive=None if env is None else bool(_told(deployment, "keep_alive")),
    )


def _told(deployment: Deployment | None, field: str) -> object:
    """Return what the container's plain variables say, None where io.net shows none."""
    if deployment is None or deployment.env is None:
        return None
    variable = next(one for one in VARIABLES if one.field == field)
    return variable.meaning(deployment.env)


def _hours_bought(deployment: Deployment) -> float | None:
    minutes = deployment.compute_minutes_served + deployment.compute_minutes_remaining
    whole = [h for h in cost.hours_of(minutes, total_gpus=deployment.total_gpus) if h == int(h)]
    return min(whole) if minutes and len(whole) == 1 else None
