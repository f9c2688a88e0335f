"""The shape that the stand-in plugins share: the provider protocol over a list of `Resource`s.

Each accepts exactly the inputs of the resources that this project declares, refuses others by
name, previews with unknowns, and answers with the real plugin's type and output names.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckFailure,
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    PropertyDiff,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)

from components.config.endpoints import ENTER, Shell
from localcloud.pulumi.plugins.engine_log import EngineLog
from localcloud.pulumi.plugins.resource import (
    LAUNCHER,
    Call,
    InputError,
    PluginError,
    Properties,
    Resource,
    refusals,
)
from localcloud.pulumi.plugins.values import (
    differences,
    plain_map,
    property_value,
    unknown,
    with_marks_of,
)

NAME = "{package}: trainstack's stand-in for the plugin, not the official one"
"""What each update, preview, refresh and destroy shows once a plugin."""

Values = dict[str, PropertyValue]
R = TypeVar("R")


class StandIn(Provider):
    """Answer the engine for some types of resources of one package."""

    def __init__(
        self,
        package: str,
        resources: Sequence[Resource],
        *,
        config_keys: frozenset[str] = frozenset(),
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.log = EngineLog("")
        self._environment = environment
        self.config: dict[str, str] = {}
        self._package = package
        self._resources = {resource.type: resource for resource in resources}
        self._config_keys = config_keys | {"version"}
        self._cancelled = threading.Event()
        self._working: set[object] = set()

    @property
    def is_working(self) -> bool:
        """Say whether any operation is under way, its engine's interest in it or not."""
        return bool(self._working)

    async def check_config(self, request: CheckRequest) -> CheckResponse:
        self._require_local_world()
        refused = sorted(request.new_inputs.keys() - self._config_keys)
        if refused:
            raise PluginError(
                f"The stand-in for the {self._package} plugin does not take the provider "
                f"setting{'s' * (len(refused) > 1)} {', '.join(refused)}; "
                f"it takes {', '.join(sorted(self._config_keys)) or 'none'}."
            )
        return CheckResponse(inputs=request.new_inputs)

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        # A destroy or refresh takes the checked settings from the state, and only configures.
        self._require_local_world()
        prefix = f"{self._package}:config:"
        self.config.update({k.removeprefix(prefix): v for k, v in request.variables.items()})
        # Of the stack as a whole: nobody is to take a rehearsal's plugin for the official one.
        await self._in_thread(self.log.of(""), NAME.format(package=self._package))
        return ConfigureResponse(accept_secrets=True, supports_preview=True, accept_outputs=False)

    async def check(self, request: CheckRequest) -> CheckResponse:
        if why := self._outside():  # asked by itself, as nobody configured it
            return CheckResponse(failures=[CheckFailure("", why)])
        resource = self._of(request.type)
        inputs = plain_map(request.new_inputs)
        if refused := sorted(refusals(inputs, resource.inputs)):
            raise PluginError(
                f"{resource.type} of the local cloud's stand-in does not know the "
                f"input{'s' * (len(refused) > 1)} {', '.join(refused)}. It takes "
                f"{', '.join(sorted(resource.inputs))}."
            )
        if missing := sorted(resource.required - inputs.keys()):
            raise PluginError(
                f"{resource.type} needs the input{'s' * (len(missing) > 1)} {', '.join(missing)}."
            )
        try:
            checked = await self._in_thread(resource.check, self._call(request.urn), inputs)
        except InputError as refused:
            return CheckResponse(failures=[CheckFailure(refused.key, str(refused))])
        return CheckResponse(inputs=_marked(checked, request.new_inputs))

    async def diff(self, request: DiffRequest) -> DiffResponse:
        resource = self._of(request.type)
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        if resource.keeps_inputs_as:
            old = old.get(resource.keeps_inputs_as, {})
        differing: dict[str, PropertyDiff] = {}
        for key in resource.inputs:
            if key in request.ignore_changes or (key in resource.filled_in and key not in new):
                continue
            before, after = resource.compared(key, old.get(key), new.get(key))
            differing.update(differences(before, after, key, replace=key in resource.replaces))
        changed = sorted({_top(path) for path in differing})
        return DiffResponse(
            changes=bool(differing),
            replaces=[key for key in changed if key in resource.replaces],
            diffs=changed,
            detailed_diff=differing,
        )

    async def create(self, request: CreateRequest) -> CreateResponse:
        resource = self._of(request.type)
        inputs = plain_map(request.properties)
        if request.preview:
            outputs = resource.preview(inputs)
            return CreateResponse("", self._outputs(resource, request.properties, outputs))
        call = self._call(request.urn, timeout_s=request.timeout)
        id_, outputs = await self._in_thread(resource.create, call, inputs)
        return CreateResponse(id_, self._outputs(resource, request.properties, outputs))

    async def read(self, request: ReadRequest) -> ReadResponse:
        resource = self._of(request.type)
        state = plain_map(request.properties)
        call = self._call(request.urn)
        found = await self._in_thread(resource.read, call, request.resource_id, state)
        if found is None and not state:
            raise PluginError(f"There is no {resource.type} with the ID {request.resource_id}.")
        if found is None:
            return ReadResponse("")
        id_, outputs = found
        inputs = request.inputs or {
            key: property_value(outputs[key])
            for key in resource.inputs
            if outputs.get(key) is not None
        }
        # What is told only once cannot be read again.
        kept = {k: v for k, v in request.properties.items() if k in resource.secrets}
        properties = {**kept, **_marked(outputs, request.properties)}
        return ReadResponse(id_, self._secret(resource, properties), inputs)

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        resource = self._of(request.type)
        old, new = plain_map(request.olds), plain_map(request.news)
        if request.preview and resource.keeps_inputs_as:
            return UpdateResponse(self._outputs(resource, request.news, resource.preview(new)))
        if request.preview:
            kept = {k: v for k, v in request.olds.items() if k not in resource.inputs}
            outputs = {k: v for k, v in kept.items() if k not in resource.unsettled}
            outputs.update({k: unknown() for k in kept.keys() & resource.unsettled})
            outputs.update({k: request.olds[k] for k in resource.filled_in & request.olds.keys()})
            known = _marked(resource.preview(new), {})
            return UpdateResponse(self._secret(resource, {**outputs, **request.news, **known}))
        call = self._call(request.urn, timeout_s=request.timeout)
        outputs = await self._in_thread(resource.update, call, request.resource_id, old, new)
        return UpdateResponse(self._outputs(resource, request.news, outputs))

    async def delete(self, request: DeleteRequest) -> None:
        resource = self._of(request.type)
        call = self._call(request.urn, timeout_s=request.timeout)
        state = plain_map(request.properties)
        await self._in_thread(resource.delete, call, request.resource_id, state)

    async def cancel(self) -> None:
        self._cancelled.set()

    def _outside(self) -> str:
        """Return why nothing is stood in for here; "" in the local world.

        The program refuses a paid stack in the local world, so no paid stack is ever served.
        """
        missing = Shell.from_env(self._environment).missing
        if not missing:
            return ""
        there = self._environment.get(LAUNCHER) or "it"
        return (
            f"this is trainstack's stand-in for the {self._package} plugin. It serves stacks of "
            "the local cloud only, never a paid one, and this shell is not in the local cloud: "
            f"{', '.join(missing)} not set. For a paid stack delete {there}, or take it out of "
            "PATH and PULUMI_HOME: Pulumi then gets the official plugin. For a stack of the local "
            f"cloud {ENTER}."
        )

    def _require_local_world(self) -> None:
        if why := self._outside():
            raise PluginError(why)

    async def _in_thread(self, work: Callable[..., R], *arguments: Any) -> R:
        mark = object()

        def run() -> R:
            try:
                return work(*arguments)
            finally:
                self._working.discard(mark)

        self._working.add(mark)
        return await asyncio.to_thread(run)

    def _of(self, type_: str) -> Resource:
        # A child's type is the last of the types in its URN, joined with $.
        wanted = type_.rpartition("$")[2]
        if wanted not in self._resources:
            raise PluginError(
                f"The local cloud's stand-in for the {self._package} plugin has no {wanted}; "
                f"it has {', '.join(sorted(self._resources))}."
            )
        return self._resources[wanted]

    def _call(self, urn: str, *, timeout_s: float = 0) -> Call:
        return Call(urn, self.log.of(urn), self._cancelled, timeout_s)

    def _outputs(self, resource: Resource, inputs: Values, outputs: Properties) -> Values:
        kept = inputs
        if name := resource.keeps_inputs_as:
            kept = {name: property_value(plain_map(inputs), secret=True)}
        values = {**kept, **_marked(outputs, inputs)}
        return self._secret(resource, values)

    @staticmethod
    def _secret(resource: Resource, values: Values) -> Values:
        return {
            k: v.with_secret(True) if k in resource.secrets and v.value is not None else v
            for k, v in values.items()
        }


def _marked(values: Properties, models: Values) -> Values:
    return {k: with_marks_of(v, models.get(k)) for k, v in values.items() if v is not None}


def _top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]
