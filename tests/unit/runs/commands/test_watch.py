"""`runs watch` on a real terminal: a pseudo-terminal of 80 × 24 shows the panel."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from tests import ROOT

PROGRAM = """
from runs.commands.watch import follow
from tests.unit.runs.view.test_follower import beat, follower
from tests.runs_builders import status, verdict
script = [(0, "dev-main/status.json", status(beat_at=beat(0))),
          (6, "dev-main/status.json", status(beat_at=beat(6), step=360, loss=2.5)),
          (12, "dev-main/verdict.json", verdict())]
raise SystemExit(follow(follower(script), as_json=False))
"""


def test_a_terminal_gets_one_panel_that_is_drawn_over_and_over() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**environ, "TERM": "xterm-256color"},
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break  # the other side is closed
            if not piece:
                break
            shown += piece
        told = process.communicate()[1]
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0, told
    assert "120/400 30%" in text
    assert "360/400 90%" in text
    assert "all stages done" in text
    assert "\x1b[1A" in text  # drawn over, not scrolled by
    assert "main succeeded after 2m 30s" in told
