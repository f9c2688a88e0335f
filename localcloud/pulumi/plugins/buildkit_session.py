"""A BuildKit session: the daemon asks its client through it with which login to pull.

The client is the server here: it upgrades `POST /session` and then answers gRPC calls of the
daemon's on that connection. gRPC cannot serve a connection that it did not accept, so a server on a
socket in a private folder gets each byte passed on.
https://github.com/moby/moby/blob/v28.5.2/api/server/router/session/session_routes.go
"""

import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from localcloud.pulumi.plugins.buildkit_messages import (
    CredentialsRequest,
    CredentialsResponse,
    HealthCheckResponse,
)
from localcloud.pulumi.plugins.resource import PluginError

Login = Callable[[str], tuple[str, str]]
"""From a registry's host to a user and a secret, both empty where there is none."""

CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = 1
_ANSWER_WITHIN_S = 30.0
_PART = 1 << 16


@contextmanager
def session(daemon: str, *, login: Login) -> Iterator[str]:
    """Hold a session at the daemon (its address, as in DOCKER_HOST); yield its ID."""
    id_ = secrets.token_hex(12)
    with (
        tempfile.TemporaryDirectory(prefix="ts-") as folder,
        _server(folder, login) as socket_path,
        closing(_connected(daemon)) as theirs,
        closing(_connected(f"unix://{socket_path}")) as ours,
    ):
        ours.sendall(_upgraded(theirs, id_))
        for source, target in ((theirs, ours), (ours, theirs)):
            source.settimeout(None)
            threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()
        try:
            yield id_
        finally:
            for end in (theirs, ours):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # close() alone leaves a thread in recv()


@contextmanager
def _server(folder: str, login: Login) -> Iterator[str]:
    path = str(Path(folder) / "s")
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[_Answers(login)])
        server.add_insecure_port(f"unix:{path}")
        server.start()
        try:
            yield path
        finally:
            server.stop(None).wait()


class _Answers(grpc.GenericRpcHandler):
    def __init__(self, login: Login) -> None:
        self._login = login

    def service(self, handler_call_details: Any) -> Any:
        answers = {CREDENTIALS: self._credentials, HEALTH: self._health}
        if (answer := answers.get(handler_call_details.method)) is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda request, _context: answer(request).SerializeToString()
        )

    def _credentials(self, request: bytes) -> Any:
        username, secret = self._login(CredentialsRequest.FromString(request).host)
        return CredentialsResponse(username=username, secret=secret)

    def _health(self, _request: bytes) -> Any:
        return HealthCheckResponse(status=_SERVING)


def _connected(daemon: str) -> socket.socket:
    address = urlsplit(daemon)
    if address.scheme in {"unix", "http+unix"}:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_ANSWER_WITHIN_S)
        connection.connect(address.path)
        return connection
    if address.scheme in {"tcp", "http"}:
        return socket.create_connection(
            (address.hostname or "127.0.0.1", address.port or 2375), _ANSWER_WITHIN_S
        )
    raise PluginError(
        f"The Docker engine at {address.scheme}:// cannot be built with from here: this stand-in "
        "speaks to a socket or plain TCP. Name such an address in DOCKER_HOST."
    )


def _upgraded(connection: socket.socket, id_: str) -> bytes:
    """Turn the connection into the session's; return what came right behind the answer."""
    lines = [
        "POST /session HTTP/1.1",
        "Host: docker",
        "Connection: Upgrade",
        "Upgrade: h2c",
        f"X-Docker-Expose-Session-Uuid: {id_}",
        "X-Docker-Expose-Session-Name: trainstack-stand-in",
        f"X-Docker-Expose-Session-Grpc-Method: {CREDENTIALS}",
        f"X-Docker-Expose-Session-Grpc-Method: {HEALTH}",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    got = b""
    while b"\r\n\r\n" not in got:
        if not (part := connection.recv(_PART)):
            break
        got += part
    head, _, rest = got.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].decode(errors="replace")
    if " 101 " not in f"{status} ":
        raise PluginError(f"The Docker engine opened no BuildKit session: {status or 'no answer'}")
    return rest


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(_PART):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the build is over and both ends are closed
