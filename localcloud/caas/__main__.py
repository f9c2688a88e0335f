"""Run the stand-in for the io.net CaaS API: `python -m localcloud.caas`, key in IOCLOUD_API_KEY."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from localcloud.caas.http.server import create_app, server
from localcloud.caas.quirks import Quirks
from localcloud.caas.runtime.containers import DockerRuntime
from localcloud.caas.settings import Settings

KEY_VARIABLE = "IOCLOUD_API_KEY"


def main() -> int:
    """Serve until SIGTERM or SIGINT; containers outlive the process and are found again."""
    given = _arguments().parse_args()
    api_key = os.environ.get(KEY_VARIABLE, "")
    if not api_key:
        print(f"{KEY_VARIABLE} is not set: the API would know no key. Set it.", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    settings = Settings(
        api_key=api_key,
        database=given.db,
        place_id=given.place_id,
        network=given.network,
        clock_speed=given.clock_speed,
        reconcile_period_s=given.reconcile_period,
        health_grace_s=given.health_grace,
        restart_delay_s=given.restart_delay,
        boot_deadline_s=given.boot_deadline,
        stop_grace_s=given.stop_grace,
    )
    try:
        quirks = _quirks(given)
    except ValidationError as error:
        print(f"--behaviour is wrong: {error}", file=sys.stderr)
        return 2
    runtime = DockerRuntime(place_id=given.place_id, network=given.network)
    app = create_app(settings, runtime, quirks=quirks)
    serving = server(app, host=given.host, port=given.port)
    with suppress(KeyboardInterrupt):
        serving.run()  # after SIGTERM it ends the process by that signal
    logging.shutdown()
    # A thread that waits for a pull would keep the process; the next one repeats what it did.
    os._exit(0 if serving.started else 1)


def _quirks(given: argparse.Namespace) -> Quirks:
    pairs = dict(pair.partition("=")[::2] for pair in given.behaviour)
    restarts = "restarted" if given.restart_policy == "always" else "left_dead"
    return Quirks.model_validate({"container_exit": restarts, **pairs})


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud.caas", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--db", type=Path, required=True, help="SQLite file of its state")
    parser.add_argument("--network", required=True, help="Docker network of the containers")
    parser.add_argument("--place-id", required=True, help="label that marks our containers")
    parser.add_argument(
        "--clock-speed", type=float, default=1.0, help="paid seconds that pass in a real one"
    )
    parser.add_argument(
        "--restart-policy",
        choices=["always", "never"],
        default="always",
        help="what happens to a container that exits (the vendor's answer is not known)",
    )
    parser.add_argument("--reconcile-period", type=float, default=1.0, metavar="S")
    parser.add_argument("--health-grace", type=float, default=60.0, metavar="S")
    parser.add_argument("--restart-delay", type=float, default=1.0, metavar="S")
    parser.add_argument("--boot-deadline", type=float, default=1200.0, metavar="S")
    parser.add_argument("--stop-grace", type=float, default=5.0, metavar="S")
    parser.add_argument(
        "--behaviour",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="switch of quirks.py; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
