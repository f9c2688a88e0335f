"""Sends a plugin's lines to the engine, which shows them beside the resource they are about."""

from collections.abc import Callable

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineLog:
    """The engine's log; without an address it keeps silent."""

    def __init__(self, address: str) -> None:
        self._engine = (
            engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None
        )

    def of(self, urn: str) -> Callable[..., None]:
        """Return the function that logs about one resource: log(text, warning=, passing=)."""

        def log(text: str, *, warning: bool = False, passing: bool = False) -> None:
            if self._engine is None:
                return
            severity = engine_pb2.WARNING if warning else engine_pb2.INFO
            line = engine_pb2.LogRequest(
                severity=severity, message=text, urn=urn, ephemeral=passing
            )
            try:
                self._engine.Log(line, timeout=10)
            except grpc.RpcError:
                self._engine = None  # the engine left; what is being done is worth finishing

        return log
