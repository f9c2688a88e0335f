"""HTTP on the traffic port: health from the first second, the status page, metrics, the chat.

No secret is on any page; only the chat asks for the bearer token.
"""

from __future__ import annotations

import html
import socket
import string
import threading
import time
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Route

from container.contract import bought_time
from container.contract.link_speed import in_words
from container.contract.records import RunStatus
from container.contract.still_rented import StillRented
from container.telemetry.run_status import LiveStatus
from container.web.chat_page import ChatPage

_FOLDER = Path(__file__).resolve().parent
_START_LIMIT_S = 20.0
_CHAT_LINK = '<p><a href="chat">Talk with the model</a></p>'


class StatusPage:
    """Serves from a thread until stopped."""

    def __init__(
        self, live_status: LiveStatus, *, port: int, access_token: str, stop_command: str = ""
    ) -> None:
        self._live_status = live_status
        self._stop_command = stop_command
        self._template = string.Template((_FOLDER / "status.html").read_text())
        self.chat = ChatPage(access_token=access_token)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("0.0.0.0", port))  # noqa: S104  # the container's published port
        except OSError:  # taken: training is worth more than a page that nobody finds
            self._socket.bind(("0.0.0.0", 0))  # noqa: S104
        self.port: int = self._socket.getsockname()[1]
        routes = [
            Route("/health", self._health),
            Route("/", self._page),
            Route("/status.json", self._status),
            Route("/metrics", self._metrics),
            *self.chat.routes,
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="page", daemon=True
        )

    def start(self) -> None:
        """Serve; returns when requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + _START_LIMIT_S
        while not self._server.started and time.monotonic() < deadline:
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def _still_rented(self, now: RunStatus) -> str:
        left = now.rented_hours_left
        if left is None or not has_ended(now):
            return ""
        return str(StillRented(hours_left=(left, left), command=self._stop_command))

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _status(self, _: Request) -> Response:
        return Response(self._live_status.snapshot().to_json(), media_type="application/json")

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(self._template.substitute(self._fields()))

    async def _metrics(self, _: Request) -> Response:
        return PlainTextResponse(prometheus(self._live_status.snapshot()))

    def _fields(self) -> dict[str, str]:
        now = self._live_status.snapshot()
        total = f" of {now.total_steps}" if now.total_steps else ""
        state = now.outcome or now.stage or "starting"
        fields = {
            "run": now.run,
            "recipe": now.recipe,
            "attempt": str(now.attempt),
            "state": state,
            "state_class": {"succeeded": "succeeded", "failed": "failed-run"}.get(state, ""),
            "message": now.message,
            "rented": self._still_rented(now),
            "bought_time": bought_time.in_words(
                now.in_time, ends_in_s=now.bought_left_s, needs_s=now.stage_needs_s
            ),
            "percent": f"{percent(now):.1f}",
            "step": "–" if now.step is None else f"{now.step}{total}",
            "loss": "–" if now.loss is None else f"{now.loss:.4f}",
            "tokens": "–" if now.tokens_per_s is None else f"{now.tokens_per_s:,.0f}",
            "mfu": "–" if not now.mfu else f"{now.mfu:.1f} %",
            "gpu_memory": "–" if now.gpu_memory_bytes is None else _size(now.gpu_memory_bytes),
            "all_reduce": in_words(
                now.all_reduce_bytes_per_s, usual_bytes_per_s=now.usual_all_reduce_bytes_per_s
            )
            or "–",
            "uploaded": _size(now.uploaded_bytes),
            "pending": _size(now.pending_bytes),
            "elapsed": duration(now.elapsed_s),
            "dollars": f"${now.dollars:.2f}",
            "log": "\n".join(self._live_status.log_lines.copy()),
        }
        escaped = {name: html.escape(value) for name, value in fields.items()}
        stages = [f'<span class="{one.state}">{html.escape(one.name)}</span>' for one in now.stages]
        return escaped | {
            "stages": "".join(stages),
            "curve": loss_curve(self._live_status.curve()),
            "chat": _CHAT_LINK if self.chat.server is not None else "",
        }


def has_ended(now: RunStatus) -> bool:
    """Say whether the run has, and its machine is there for nothing or to serve."""
    return now.outcome is not None or bool(now.no_verdict)


def percent(now: RunStatus) -> float:
    """Return how far the bar is: the steps of this stage, or all of it after a success."""
    if now.outcome == "succeeded":
        return 100.0
    return min(100 * (now.step or 0) / now.total_steps, 100.0) if now.total_steps else 0.0


def loss_curve(points: list[tuple[str, int, float]]) -> str:
    """Return the loss over all steps as SVG; one line a stage, side by side."""
    if len(points) < 2:
        return ""
    low, high = min(p[2] for p in points), max(p[2] for p in points)
    span = (high - low) or 1.0
    stages: dict[str, list[tuple[int, float]]] = {}
    for stage, step, loss in points:
        stages.setdefault(stage, []).append((step, loss))
    # Points lie by their step: how many of them are kept differs along the curve.
    firsts = [min(step for step, _ in line) for line in stages.values()]
    lasts = [max(step for step, _ in line) for line in stages.values()]
    widths = [last - first + 1 for first, last in zip(firsts, lasts, strict=True)]
    scale = 1000 / max(sum(widths) - 1, 1)
    colours = ["#2a7de1", "#e8590c", "#2f9e44", "#9c36b5"]
    drawn = ""
    for n, line in enumerate(stages.values()):
        before = sum(widths[:n]) - firsts[n]
        placed = [
            f"{(before + step) * scale:.1f},{280 - 260 * (loss - low) / span:.1f}"
            for step, loss in line
        ]
        drawn += (
            f'<polyline fill="none" stroke="{colours[n % 4]}" stroke-width="2" '
            f'vector-effect="non-scaling-stroke" points="{" ".join(placed)}"/>'
        )
    return (
        f"<p class='mute'>loss, {high:.3f} down to {low:.3f}</p>"
        f"<svg viewBox='0 0 1000 300' preserveAspectRatio='none'>{drawn}</svg>"
    )


def duration(elapsed_s: float) -> str:
    """Return minutes and seconds, or hours and minutes."""
    minutes, seconds = divmod(int(elapsed_s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def prometheus(now: RunStatus) -> str:
    """Return the status in Prometheus' text format."""
    label = f'run="{_label(now.run)}",recipe="{_label(now.recipe)}",stage="{_label(now.stage)}"'
    values: list[tuple[str, str, float | None]] = [
        ("step", "steps done in this stage", now.step),
        ("total_steps", "steps of this stage", now.total_steps),
        ("loss", "training loss", now.loss),
        ("tokens_per_second", "training speed", now.tokens_per_s),
        ("gpu_memory_bytes", "memory in use on all GPUs", now.gpu_memory_bytes),
        (
            "all_reduce_bytes_per_second",
            "all-reduce over all GPUs, measured before training",
            now.all_reduce_bytes_per_s or None,
        ),
        ("uploaded_bytes", "bytes uploaded by this attempt", now.uploaded_bytes),
        ("pending_bytes", "bytes that wait for upload", now.pending_bytes),
        ("elapsed_seconds", "seconds over all attempts", now.elapsed_s),
        ("cost_dollars", "cost so far", now.dollars),
        ("bought_seconds_left", "until the machine's bought hours are over", now.bought_left_s),
        (
            "ends_in_time",
            "1 when the run will end within its hours, 0 when not, from an hour before",
            {"yes": 1, "no": 0}.get(now.in_time),
        ),
        ("attempt", "number of this attempt", now.attempt),
        ("ended", "1 when the verdict is written", 1 if now.outcome else 0),
        (
            "still_rented",
            "1 when the run has ended and its machine is rented all the same",
            None if now.rented_hours_left is None else int(has_ended(now)),
        ),
        (
            "rented_hours_left",
            "of the machine, extensions included; at most, where their end was not told",
            now.rented_hours_left,
        ),
    ]
    lines: list[str] = []
    for name, text, value in values:
        if value is not None:
            lines += [f"# HELP trainstack_{name} {text}", f"# TYPE trainstack_{name} gauge"]
            lines.append(f"trainstack_{name}{{{label}}} {value}")
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _size(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
