"""A stand-in for nanochat's trainer: its lines, its files, its habits; no training."""

import argparse
import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--out", required=True)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--save-every", type=int, default=2)
parser.add_argument("--resume-from-step", type=int, default=-1)
parser.add_argument("--device-batch-size", type=int, default=8)
parser.add_argument("--ranks", type=int, default=1)
parser.add_argument("--payload-bytes", type=int, default=2000)
parser.add_argument("--oom-above", type=int, default=0, help="fail as CUDA does above this size")
parser.add_argument(
    "--oom-words",
    default="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    help="what it then says last; SIGKILL: as the kernel's killer ends it",
)
parser.add_argument("--exit-once-at", type=int, action="append", default=[])
parser.add_argument("--exit-at-end", type=int, default=0, help="exit code after the last save")
parser.add_argument("--hang-at", type=int, default=-1, help="once")
parser.add_argument("--wait-at", type=int, default=-1, help="until the file --gate is there")
parser.add_argument("--gate", default="")
parser.add_argument("--step-s", type=float, default=0.0, help="seconds that a step takes")
parser.add_argument("--leave-truncated", action="store_true")
args = parser.parse_args()

out = Path(args.out)
out.mkdir(parents=True, exist_ok=True)


def once(name: str) -> bool:
    flag = out.parent / f".{name}"
    if flag.exists():
        return False
    flag.touch()
    return True


def save(step: int) -> None:
    """Deterministic content: a function of the step alone."""
    for name in (
        f"model_{step:06d}.pt",
        *(f"optim_{step:06d}_rank{r}.pt" for r in range(args.ranks)),
    ):
        with zipfile.ZipFile(out / name, "w") as archive:
            member = zipfile.ZipInfo("archive/data.pkl", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(member, (f"{name} " * args.payload_bytes)[: args.payload_bytes])
        if name.startswith("model"):
            (out / f"meta_{step:06d}.json").write_text(json.dumps({"step": step}))
    print(f"saved {step}", file=sys.stderr)


if args.oom_above and args.device_batch_size > args.oom_above:
    if args.oom_words == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    print(args.oom_words, file=sys.stderr)
    sys.exit(1)

start = max(args.resume_from_step, 0)
if args.resume_from_step >= 0 and not (out / f"model_{start:06d}.pt").exists():
    sys.exit(f"FileNotFoundError: model_{start:06d}.pt")
print(f"Using user-provided number of iterations: {args.steps}")
print(f"the secret is {os.environ.get('R2_SECRET_ACCESS_KEY', 'not here')}")
for step in range(start, args.steps):
    if step in args.exit_once_at and once(f"exited-{step}"):
        if args.leave_truncated:
            (out / f"model_{step:06d}.pt").write_bytes(b"PK\x03\x04 cut short")
        sys.exit("RuntimeError: planted failure")
    if step == args.hang_at and once("hung"):
        time.sleep(3600)
    while step == args.wait_at and not Path(args.gate).exists():
        time.sleep(0.02)
    time.sleep(args.step_s)
    loss = 4.0 - step / args.steps
    print(
        f"step {step:05d}/{args.steps:05d} ({100 * step / args.steps:.2f}%) | loss: {loss:.6f} | "
        f"lrm: 1.00 | dt: 12.50ms | tok/sec: 41,000 | mfu: 12.30 | total time: 0.01m"
    )
    if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
        save(step + 1)
print(f"Step {args.steps:05d} | Validation bpb: 1.2345")
sys.exit(args.exit_at_end)
