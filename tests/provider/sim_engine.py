"""A double of the Pulumi engine: calls the three providers of one run in the engine's order.

As seen with the real one: a killed create leaves no state; a replacement that was interrupted after
its deletion is made by the next update; a token is kept at Cloudflare whatever the state forgets.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from components.errors import TrainstackError
from components.ionet import run_tokens
from components.ionet.provider import CaasDeploymentProvider, RunIdentityProvider
from tests.provider.builders import deployment
from tests.provider.sim_services import SimCloudflare
from tests.provider.sim_world import World

Props = dict[str, Any]
URL = "http://r2"


class RefusedError(Exception):
    """The command ended with another code than 0; the text is what the user reads."""


@dataclass
class Config:
    """What the user may change between two commands."""

    hours: int = 1
    cap: int = 3
    iterations: int = 10
    rerun: int = 0
    renew: int = 0


@dataclass
class State:
    """The stack's state: each resource as (id, outputs)."""

    identity: tuple[str, Props] | None = None
    old_identities: list[tuple[str, Props]] = field(default_factory=list[tuple[str, Props]])
    token: tuple[str, str] | None = None  # id, name
    deployment: tuple[str, Props] | None = None
    deleted: bool = False  # a replacement was interrupted after its deletion


class SimEngine:
    """One stack on one backend; `state` is what the last snapshot holds."""

    def __init__(self, world: World, *, stack: str = "dev") -> None:
        self.world, self.stack, self.state = world, stack, State()

    def snapshot(self) -> State:
        return copy.deepcopy(self.state)

    def up(self, config: Config) -> None:
        """Raises RefusedError, or KilledError with the state as it was last stored."""
        try:
            self._identity(config)
            self._token(config)
            self._deployment(config)
            while self.state.old_identities:
                RunIdentityProvider().delete(*self.state.old_identities[0])
                self.state.old_identities.pop(0)
        except TrainstackError as error:
            raise RefusedError(str(error)) from None

    def destroy(self) -> None:
        """Give everything back, in the order of the dependencies."""
        try:
            if self.state.deployment and not self.state.deleted:
                CaasDeploymentProvider().delete(*self.state.deployment)
            self.state.deployment, self.state.deleted, self.state.token = None, False, None
            while self.state.old_identities:
                RunIdentityProvider().delete(*self.state.old_identities[0])
                self.state.old_identities.pop(0)
            if self.state.identity:
                RunIdentityProvider().delete(*self.state.identity)
                self.state.identity = None
        except TrainstackError as error:
            raise RefusedError(str(error)) from None

    def refresh(self) -> None:
        """Read the machine, and forget it when it is gone."""
        try:
            if self.state.deployment and not self.state.deleted:
                found = CaasDeploymentProvider().read(*self.state.deployment)
                if found.id is None:
                    self.state.deployment = None
        except TrainstackError as error:
            raise RefusedError(str(error)) from None

    def _identity(self, config: Config) -> None:
        wanted: Props = {
            "run": "main",
            "rerun": config.rerun,
            "cloud": "local",
            "nameStem": f"trainstack-{self.stack}-main",
            "project": "trainstack",
            "stack": self.stack,
            "accountId": "a",
            "r2Endpoint": URL,
            "bucket": "b",
        }
        if self.state.identity and self.state.identity[1]["rerun"] == config.rerun:
            return
        made = RunIdentityProvider().create(wanted)
        if self.state.identity:
            self.state.old_identities.append(self.state.identity)
        assert made.outs is not None
        self.state.identity = (str(made.id), made.outs)

    def _token(self, config: Config) -> None:
        assert self.state.identity
        family = f"{self.stack}-main-{self.state.identity[0]}"
        name = run_tokens.name_of(family, renew=config.renew)
        if self.state.token and self.state.token[1] == name:
            return
        self.state.token = (SimCloudflare(self.world).make(name), name)

    def _deployment(self, config: Config) -> None:
        provider, olds = CaasDeploymentProvider(), self.state.deployment
        news = self._wanted(config)
        if olds is not None and not self.state.deleted:
            checked = provider.check(olds[1], news)
            found = provider.diff(olds[0], olds[1], checked.inputs)
            if not found.changes:
                return
            if not found.replaces:
                updated = provider.update(olds[0], olds[1], checked.inputs)
                assert updated.outs is not None
                self.state.deployment = (olds[0], updated.outs)
                return
            checked = self._checked(news)
            provider.delete(*olds)
            self.state.deleted = True
        checked = self._checked(news)
        made = provider.create(checked)
        assert made.outs is not None
        self.state.deployment, self.state.deleted = (str(made.id), made.outs), False

    def _checked(self, news: Props) -> Props:
        found = CaasDeploymentProvider().check({}, news)
        if found.failures:
            raise RefusedError(found.failures[0].reason)
        return found.inputs

    def _wanted(self, config: Config) -> Props:
        assert self.state.identity
        assert self.state.token
        identity, outs = self.state.identity
        family = f"{self.stack}-main-{identity}"
        prefix = f"{family}-{config.iterations:08x}"
        return deployment(
            URL,
            stack=self.stack,
            bucket="b",
            identity=identity,
            namePrefix=f"trainstack-{family}-",
            privateName=f"trainstack-{family}-{config.iterations:08x}",
            r2Prefix=prefix,
            durationHours=config.hours,
            maxCostUsd=config.cap,
            renew=config.renew,
            accessToken=outs["accessToken"],
            accessKeyId=self.state.token[0],
            secretAccessKey=f"secret of {self.state.token[0]}",
            env={
                "RUN_NAME": "main",
                "RUN_PREFIX": prefix,
                "R2_BUCKET": "b",
                "RECIPE": "rehearsal",
                "RECIPE_SETTINGS": f'{{"num_iterations": {config.iterations}}}',
            },
        )
