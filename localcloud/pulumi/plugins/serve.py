"""Serves a stand-in to the engine that started it: prints the port, leaves when told to."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import grpc
import grpc.aio
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc

from localcloud.pulumi.plugins.engine_log import EngineLog
from localcloud.pulumi.plugins.resource import PluginError
from localcloud.pulumi.plugins.standin import StandIn

PARENT_CHECK_S = 1.0
"""How often a plugin looks whether its engine is still there."""

STOP_WITHIN_S = 8.0
"""Longer than a command gets to end by itself, shorter than the engine's patience."""
P = ParamSpec("P")
R = TypeVar("R")
if TYPE_CHECKING:  # CoroutineType takes no parameters when it runs
    Method = Callable[P, CoroutineType[Any, Any, R]]


def serve(stand_in: StandIn, version: str) -> None:
    """Serve until the engine interrupts this process or is gone."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    address = "".join(addresses[-1:])  # behind that of a trace, where there is one
    stand_in.log = EngineLog(address)
    asyncio.run(_serve(stand_in, _Servicer(sys.argv[1:], version, stand_in, address)))


async def _serve(stand_in: StandIn, servicer: ProviderServicer) -> None:
    engine = os.getppid()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    while not over.is_set() and os.getppid() == engine:
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), PARENT_CHECK_S)
    # With nothing under way, at once: an engine waits ten seconds for a plugin that lingers.
    # Otherwise what is under way is told to stop, so that no command outlives its engine.
    await stand_in.cancel()
    end = time.monotonic() + STOP_WITHIN_S
    while stand_in.is_working and time.monotonic() < end:
        await asyncio.sleep(0.05)
    os._exit(0)


def _plainly(method: "Method[P, R]") -> "Method[P, R]":
    """Give the engine an error's message, without the name of its class and a traceback."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except PluginError as error:
            context: Any = args[-1]
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
            raise

    return call


class _Servicer(ProviderServicer):
    CheckConfig = _plainly(ProviderServicer.CheckConfig)
    Configure = _plainly(ProviderServicer.Configure)
    Check = _plainly(ProviderServicer.Check)
    Diff = _plainly(ProviderServicer.Diff)
    Create = _plainly(ProviderServicer.Create)
    Read = _plainly(ProviderServicer.Read)
    Update = _plainly(ProviderServicer.Update)
    Delete = _plainly(ProviderServicer.Delete)
