"""Running the real `__main__.py` under Pulumi mocks: what it declares, without an engine."""

from __future__ import annotations

import asyncio
import json
import runpy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc, settings

from components.config.settings import SECRET_KEYS
from tests import ROOT

ACCOUNT = "0123456789abcdef0123456789abcdef"

LOCAL_ENV = {
    "TRAINSTACK_LOCAL_CLOUD": "/somewhere/.local",
    "IONET_BASE_URL": "http://127.0.0.1:1",
    "IOCLOUD_API_KEY": "planted-ionet-key",
    "CLOUDFLARE_BASE_URL": "http://127.0.0.1:1/client/v4",
    "CLOUDFLARE_API_TOKEN": "planted-cloudflare-token",
    "R2_ENDPOINT_URL": "http://127.0.0.1:2",
    "DATASET_MIRROR_URL": "http://127.0.0.1:3",
    "REGISTRY_SERVER": "127.0.0.1:5000",
    "REGISTRY_USERNAME": "pusher",
    "REGISTRY_SECRET": "planted-registry-secret",
}
DEV_CONFIG = {
    "cloud": "local",
    "cloudflareAccountId": ACCOUNT,
    "bucket": "trainstack-rehearsal",
    "imageRepository": "trainstack/rehearsal",
    "recipe": "rehearsal",
    "gpuType": "CPU",
    "gpusPerContainer": 1,
    "durationHours": 1,
    "maxCostUsd": 1,
    "keepAlive": True,
}


@dataclass
class Declared:
    """One resource as it was registered; `secrets` are its inputs that were marked."""

    type: str
    name: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    parent: str
    import_id: str
    depends_on: tuple[str, ...]
    options: Any


@dataclass
class Outcome:
    """What a program declared and exported."""

    resources: list[Declared]
    outputs: dict[str, Any] = field(default_factory=dict)
    hooks: dict[str, Callable[[pulumi.ResourceHookArgs], Any]] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()

    def of(self, kind: str) -> list[Declared]:
        """Return the resources of a type, named by its end."""
        return [found for found in self.resources if found.type.endswith(kind)]

    def one(self, kind: str) -> Declared:
        """Return the only resource of a type."""
        (found,) = self.of(kind)
        return found


class Mocks(pulumi.runtime.Mocks):
    """Answers as the providers would, and keeps what it was asked."""

    def __init__(self) -> None:
        self.declared: list[Declared] = []
        self.current = threading.local()  # several resources are registered at a time

    def new_resource(
        self, args: pulumi.runtime.MockResourceArgs
    ) -> tuple[str | None, dict[str, Any]]:
        request = self.current.request
        inputs = {
            key: rpc.unwrap_rpc_secret(value)
            for key, value in args.inputs.items()
            if key != "__provider"
        }
        self.declared.append(
            Declared(
                type=args.typ,
                name=args.name,
                inputs=inputs,
                secrets=frozenset(_secret_keys(request)),
                parent=request.parent if request else "",
                import_id=request.importId if request else "",
                depends_on=tuple(request.dependencies) if request else (),
                options=request,
            )
        )
        outputs = dict(inputs)
        if args.typ.endswith("AccountToken"):
            outputs["value"] = "cfat_planted-token-value"
        if args.typ.endswith("image:Image"):
            name = inputs["imageName"].rsplit(":", 1)[0]
            outputs["repoDigest"] = f"{name}@sha256:{'0' * 64}"
        if args.typ.endswith("RunIdentity"):
            return "1a2b3c4d", {**outputs, "accessToken": "planted-access-token"}
        if args.typ.endswith("CaasDeployment"):
            return "dep-" + args.name, {**outputs, "estimatedCostUsd": 0.4}
        if args.typ.endswith("DeploymentReady"):
            outputs["statusUrl"] = "http://127.0.0.1:9"
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError(f"the program calls {args.token}")


class _Monitor(mocks.MockMonitor):
    """Lets the mocks see the whole request: parents, options, marks of secrets."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        asked: Any = self.mocks
        asked.current.request = request
        return super().RegisterResource(request)


class _Callbacks:
    """Takes the program's hooks, which mocks have no place for; nothing calls them by itself."""

    def __init__(self) -> None:
        self.hooks: dict[str, Any] = {}

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        self.hooks[hook.name] = hook.callback

    def register_error_hook(self, hook: pulumi.ErrorHook) -> None:
        self.hooks[hook.name] = hook.callback


def _secret_keys(request: Any) -> Iterator[str]:
    if request is None:
        return
    for key, value in request.object.fields.items():
        if value.struct_value.fields.get("4dabf18193072939515e22adb298388d"):
            yield key


Program = Callable[..., Outcome]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    """Run the program with the dev stack's config and the given changes to it."""

    def run(
        config: Mapping[str, Any] | None = None,
        *,
        env: Mapping[str, str] = LOCAL_ENV,
        bucket_exists: bool = True,
        preview: bool = False,
    ) -> Outcome:
        for name in LOCAL_ENV:
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(
            "components.r2.cloudflare.Client.find_bucket", _bucket if bucket_exists else _no_bucket
        )
        monkeypatch.setattr("components.r2.cloudflare.Client.make_bucket", _bucket)
        values = {**DEV_CONFIG, **(config or {})}
        return _run(values, preview=preview)

    return run


def _bucket(_client: object, name: str, *, jurisdiction: str) -> object:
    from components.r2.cloudflare import ExistingBucket

    return ExistingBucket(name=name, storage_class="Standard")


def _no_bucket(_client: object, name: str, *, jurisdiction: str) -> None:
    return None


def _run(values: Mapping[str, Any], *, preview: bool) -> Outcome:
    asked = Mocks()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    exported: dict[str, Any] = {}
    callbacks: Any = _Callbacks()
    try:
        monitor = _Monitor(asked)
        mocks.set_mocks(asked, project="trainstack", stack="dev", preview=preview, monitor=monitor)
        current: Any = settings.SETTINGS
        current.callbacks = callbacks
        pulumi.runtime.set_all_config(
            {f"trainstack:{key}": _text(value) for key, value in values.items()},
            [f"trainstack:{key}" for key in values if key in SECRET_KEYS],
        )

        def declare() -> None:
            runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
            stack: Any = pulumi.runtime.get_root_resource()
            exported.update(stack.outputs)

        loop.run_until_complete(pulumi.runtime.stack.run_pulumi_func(declare))
        resolved = {
            key: loop.run_until_complete(pulumi.Output.from_input(value).future())
            for key, value in exported.items()
        }
        secret = frozenset(
            key
            for key, value in exported.items()
            if loop.run_until_complete(pulumi.Output.from_input(value).is_secret())
        )
    finally:
        loop.close()
    return Outcome(
        resources=asked.declared, outputs=resolved, secret_outputs=secret, hooks=callbacks.hooks
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
