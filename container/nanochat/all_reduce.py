"""One rank of a short all-reduce over a machine's GPUs: what training does first, in seconds.

Says on stdout how far it has come, one line of JSON each (`MARK`), and decides nothing: that is
container/supervisor/all_reduce_check.py's. Runs in the trainer's own Python, under torchrun.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

MARK = "all-reduce: "  # container/supervisor/all_reduce_check.py reads what follows it
NCCL_BYTES, GLOO_BYTES = 256 << 20, 4 << 20
ROUNDS = 5
JOIN_LIMIT_S = 50.0  # less than the silence that the supervisor bears: the reason is better told
SIDE = 512


def main() -> int:
    """Run this rank; 0 when every GPU computed and the ranks reduced."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    _say(rank, "begun")
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        _say(rank, "not checked", why=f"PyTorch cannot be imported: {error}")
        return 1
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    _say(rank, "started", backend=backend)
    phase = "gpu"
    try:
        device = _device(torch, backend)
        _say(rank, "computed", **(_peers(torch) if rank == 0 and backend == "nccl" else {}))
        phase = "ranks"
        rate = _reduced(torch, device, backend, world) if world > 1 else 0.0
    except RuntimeError as error:  # of CUDA, NCCL and PyTorch; another one is a fault of this file
        _say(rank, "failed", at=phase, why=str(error).strip().splitlines()[0][:300])
        return 1
    _say(rank, "done", bytes_per_s=rate)
    return 0


def _say(rank: int, phase: str, **more: object) -> None:
    line = MARK + json.dumps({"rank": rank, "phase": phase, **more})
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # in one piece: eight ranks share the pipe


def _device(torch: Any, backend: str) -> Any:
    """Return this rank's device once it has computed a product right."""
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    ones = torch.ones(SIDE, SIDE, device=device)
    product = ones @ ones
    if not bool((product == SIDE).all().item()):
        raise RuntimeError("a product of matrices came out wrong")
    return device


def _peers(torch: Any) -> dict[str, bool]:
    """Say whether each GPU reaches each other's memory: NCCL goes through /dev/shm else."""
    count = torch.cuda.device_count()
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    return {"p2p": all(torch.cuda.can_device_access_peer(a, b) for a, b in pairs)}


def _reduced(torch: Any, device: Any, backend: str, world: int) -> float:
    """Return the bytes a second of each rank's link, as nccl-tests counts them (busbw)."""
    dist = torch.distributed
    dist.init_process_group(backend, timeout=timedelta(seconds=JOIN_LIMIT_S))
    size = NCCL_BYTES if backend == "nccl" else GLOO_BYTES
    values = torch.ones(size // 4, device=device)
    dist.all_reduce(values)
    if not bool((values == world).all().item()):
        raise RuntimeError("the sum over all ranks came out wrong")
    seconds = min(_timed(torch, dist, values, backend) for _ in range(ROUNDS))
    dist.destroy_process_group()
    return size / seconds * 2 * (world - 1) / world


def _timed(torch: Any, dist: Any, values: Any, backend: str) -> float:
    values.fill_(1.0)
    if backend == "nccl":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    dist.all_reduce(values)
    if backend == "nccl":
        torch.cuda.synchronize()
    return max(time.perf_counter() - begin, 1e-9)


if __name__ == "__main__":
    sys.exit(main())
