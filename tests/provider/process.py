"""One provider process, called over gRPC as the Pulumi engine calls it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from components.ionet.provider import CaasDeploymentProvider
from tests import ROOT

CALL_ENDS_WITHIN_S = 60
Props = dict[str, Any]


class CallFailedError(AssertionError):
    """The provider answered with an error; the text is what the engine would show."""


class Engine:
    """Stands for the engine: something that listens at its address until it is killed."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def kill(self) -> None:
        self._socket.close()


class ProviderProcess:
    """Starts `python -m pulumi.dynamic` and calls it."""

    def __init__(self, engine: Engine, *, log: Path, env: Mapping[str, str]) -> None:
        self._log = log
        self.provider: ResourceProvider = CaasDeploymentProvider()
        plain = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "pulumi.dynamic", engine.address],
                cwd=ROOT,
                env={**plain, **env, "PULUMI_PROJECT": "trainstack"},
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self._process.stdout
        port = self._process.stdout.readline().decode().strip()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def stop(self) -> None:
        self._channel.close()
        self._process.terminate()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def said(self) -> str:
        """Return what it has written for the user so far."""
        return self._log.read_text()

    def configure(self, config: Mapping[str, str]) -> None:
        self._call("Configure", provider_pb2.ConfigureRequest(args=_struct(dict(config))))

    def check(self, news: Props, olds: Props | None = None) -> tuple[Props, list[str]]:
        """Return the checked inputs and the reasons of the failures."""
        request = provider_pb2.CheckRequest(olds=self._sent(olds or {}), news=self._sent(news))
        found = self._call("Check", request)
        return _props(found.inputs), [failure.reason for failure in found.failures]

    def diff(
        self, id_: str, olds: Props, news: Props, *, deletes_first: bool = True
    ) -> tuple[bool, list[str]]:
        """Return whether it changes, and what replaces it."""
        request = provider_pb2.DiffRequest(id=id_, olds=self._sent(olds), news=self._sent(news))
        found = self._call("Diff", request)
        changes = found.changes == provider_pb2.DiffResponse.DIFF_SOME
        assert not found.replaces or found.deleteBeforeReplace is deletes_first
        return changes, list(found.replaces)

    def create(self, props: Props) -> tuple[str, Props]:
        found = self._call("Create", provider_pb2.CreateRequest(properties=self._sent(props)))
        return found.id, _props(found.properties)

    def read(self, id_: str, props: Props) -> tuple[str, Props, Props]:
        """Return the id ("" when it is gone), the outputs and the inputs."""
        request = provider_pb2.ReadRequest(id=id_, properties=self._sent(props))
        found = self._call("Read", request)
        return found.id, _props(found.properties), _props(found.inputs)

    def update(self, id_: str, olds: Props, news: Props) -> Props:
        request = provider_pb2.UpdateRequest(id=id_, olds=self._sent(olds), news=self._sent(news))
        return _props(self._call("Update", request).properties)

    def delete(self, id_: str, props: Props) -> None:
        request = provider_pb2.DeleteRequest(id=id_, properties=self._sent(props))
        self._call("Delete", request)

    def _sent(self, props: Props) -> struct_pb2.Struct:
        return _struct({**props, "__provider": serialize_provider(self.provider)})

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self._stub, method)(request, timeout=CALL_ENDS_WITHIN_S)
        except grpc.RpcError as error:
            raise CallFailedError(error.details()) from None


def _struct(values: Props) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    found.update(values)
    return found


def _props(found: struct_pb2.Struct) -> Props:
    values: Props = json_format.MessageToDict(found)
    return {key: value for key, value in values.items() if key != "__provider"}
