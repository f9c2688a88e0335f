"""The Python language host: runs a Pulumi program for the engine and says how it ended.

It speaks the language protocol of the SDK that is installed and does what `pulumi up`, `preview`,
`refresh` and `destroy` ask of a host; making projects and packages is left to the official one.
This file is copied beside the engine, so it imports nothing of this project.
"""

# ruff: noqa: N802 - the protocol names the methods

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent import futures
from importlib import metadata
from pathlib import Path

try:
    import grpc
    from google.protobuf import empty_pb2
    from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
    from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2
except ModuleNotFoundError as missing:
    sys.exit(
        f"{sys.executable} has no {missing.name}, so it cannot run the Pulumi program.\n"
        "Make the project's environment (.venv beside Pulumi.yaml; here: make setup); or, where "
        "there is none, name an interpreter that has the Pulumi SDK in TRAINSTACK_PYTHON."
    )

REPORTED = 32
"""Exit status of a program whose failure has been shown to the user already."""

PARENT_CHECK_S = 1.0
"""How often the host looks whether the engine that started it is still there."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answer the engine's calls about one program; run it in a process of its own."""

    def __init__(self, daemon_address: str) -> None:
        self._daemon_address = daemon_address
        self._programs: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def Handshake(self, request, context):
        self._daemon_address = request.daemon_address or self._daemon_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def GetRequiredPlugins(self, request, context):
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request, context):
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request, context):
        return language_pb2.AboutResponse(
            executable=sys.executable, version=".".join(map(str, sys.version_info[:3]))
        )

    def GetProgramDependencies(self, request, context):
        versions = {d.metadata["Name"]: d.version for d in metadata.distributions()}
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version in sorted(versions.items())
            ]
        )

    def InstallDependencies(self, request, context):
        note = "The Python environment is the project's own (.venv): make setup\n"
        yield language_pb2.InstallDependenciesResponse(stdout=note.encode())

    def Run(self, request, context):
        entry = request.info.entry_point or request.program or "."
        folder = request.info.program_directory or request.pwd or str(Path.cwd())
        order = {
            "program": str(Path(folder, entry)),
            "folder": folder,
            "root": request.info.root_directory or folder,
            "args": list(request.args),
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization or "organization",
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "monitor": request.monitor_address,
            "engine": self._daemon_address,
            "config": dict(request.config),
            "secret_keys": list(request.configSecretKeys),
        }
        status = self._run(order, cwd=request.pwd or folder)
        if status == 0:
            return language_pb2.RunResponse()
        if status == REPORTED:
            return language_pb2.RunResponse(bail=True)
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return language_pb2.RunResponse(error=f"the program ended with {how}")

    def Cancel(self, request, context):
        self.stop_programs()
        return empty_pb2.Empty()

    def stop_programs(self) -> None:
        """End what is still running; its resources are the engine's, so nothing is lost."""
        with self._lock:
            for program in self._programs:
                program.terminate()

    def _run(self, order: dict[str, object], *, cwd: str) -> int:
        # The order holds the stack's secrets, so it goes through a pipe: neither the command
        # line nor the environment, which the program's own children would inherit, shows it.
        program = subprocess.Popen(
            [sys.executable, "-u", str(Path(__file__).with_name("run_program.py"))],
            stdin=subprocess.PIPE,
            cwd=cwd,
        )
        with self._lock:
            self._programs.add(program)
        try:
            program.communicate(json.dumps(order).encode())
            return program.returncode
        finally:
            with self._lock:
                self._programs.discard(program)


def main() -> None:
    """Serve until the engine interrupts, goes away or ends this process."""
    engine = os.getppid()
    over = threading.Event()
    # The engine interrupts its hosts when it is done: one that does not leave costs it 10 s.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    host = LanguageHost("".join(addresses[-1:]))  # behind that of a trace, where there is one
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=_GRPC_CHANNEL_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not over.wait(PARENT_CHECK_S) and os.getppid() == engine:
        pass
    host.stop_programs()
    sys.stdout.flush()
    os._exit(0)  # the server's threads would keep a plain exit waiting


if __name__ == "__main__":
    main()
