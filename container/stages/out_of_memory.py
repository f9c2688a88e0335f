"""Whether memory was what ended a stage: the spellings of it with their sources, and the kernel's.

Says where it ran out, a device or the host; what follows from it is the retry policy's.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from container.system.process_group import exit_reason

Where = Literal["device", "host"]

# Ranks fall apart by a step at most, so an error that one of them printed may stand before the
# last line of another; one that was survived has steps behind it.
STEPS_SURVIVED: Final = 2
# "oom_kill" counts the processes of this container that any OOM killer ended: cgroup v2, then v1.
# https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
KILL_COUNTERS: Final = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)


@dataclass(frozen=True)
class Spelling:
    """How somebody says that memory ran out, and where that is written."""

    pattern: str
    where: Where
    source: str


SPELLINGS: Final = (
    Spelling(r"[\w.:]*OutOfMemoryError\b", "device", "c10/util/Exception.h; torch/cuda"),
    Spelling(r"\w+(?: backend)? out of memory\. Tried", "device", "c10/*/*CachingAllocator.cpp"),
    Spelling(r"(?:CUDA|HIP|XPU|NPU|MPS backend) out of memory", "device", "the same, shortened"),
    Spelling(
        r"(?:CUDA|HIP)(?: driver| runtime)? error\b[^a-z]{0,8}out of memory",
        "device",
        "c10/cuda/CUDAException.cpp; c10/cuda/driver_api.h; THC/THCGeneral.cpp until torch 1.4",
    ),
    Spelling(r"Triton Error \[\w+\]: out of memory", "device", "triton, driver.c"),
    Spelling(
        r"(?:HIP|CU)(?:BLAS|BLASLT|DNN|SOLVER|SPARSE|FFT|RAND)_(?:STATUS_)?"
        r"(?:ALLOC_FAILED|ALLOCATION_FAILED)",
        "device",
        "aten/src/ATen/cuda/Exceptions.h",
    ),
    Spelling(
        r"cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory",
        "device",
        "driver_types.h, cuda.h, hip_runtime_api.h: the names of the codes",
    ),
    Spelling(r"cudaMalloc\w* failed: out of memory", "device", "programs that call it themselves"),
    Spelling(
        r"(?:CUDA|HIP) failure (?:\d+ )?'out of memory'", "device", "NCCL, src/include/checks.h"
    ),
    Spelling(
        r"Failed to (?:CUDA|HIP) (?:calloc|malloc|host alloc)",
        "device",
        "NCCL, src/include/alloc.h",
    ),
    Spelling(
        r"DataLoader worker \(pid\S* [\d, ]+\) is killed by signal: (?:Killed|Bus error)",
        "host",
        "torch/csrc/DataLoader.cpp; https://github.com/pytorch/pytorch/issues/8976",
    ),
    Spelling(r"[\w.]*MemoryError\b", "host", "Python; numpy; pyarrow, ArrowMemoryError"),
    Spelling(r"(?:\[Errno 12\] )?Cannot allocate memory", "host", "errno(3), ENOMEM"),
    Spelling(
        r"(?:\[enforce fail at [^\]]*\].{0,80})?DefaultCPUAllocator: (?:can't|not enough)",
        "host",
        "c10/core/impl/alloc_cpu.cpp",
    ),
    Spelling(r"std::bad_alloc", "host", "C++, new"),
    Spelling(
        r"(?:Memory cgroup )?Out of memory: Kill(?:ed)? process", "host", "Linux, mm/oom_kill.c"
    ),
    Spelling(r"(?:Detected \d+ )?oom[-_]?kill", "host", "Linux, mm/oom_kill.c; what quotes it"),
    # What a shell and torchrun say of a process that was ended by SIGKILL.
    Spelling(r"Killed\Z", "host", "bash, of its child"),
    Spelling(r"\S+: line \d+:\s+\d+ Killed\b", "host", "bash, of a script's child"),
    Spelling(r"exitcode\s*: -9\b", "host", "torch/distributed/elastic"),
    Spelling(r"Signal 9 \(SIGKILL\) received by PID \d+", "host", "torch/distributed/elastic"),
)
_TABLE: Final[tuple[tuple[re.Pattern[str], Where], ...]] = tuple(
    (re.compile(one.pattern, re.IGNORECASE), one.where) for one in SPELLINGS
)
_WORTH_A_LOOK: Final = re.compile(r"memory|alloc|kill|exitcode", re.IGNORECASE)
# What may stand before a spelling: a rank's mark, or whatever ends as the words of an error begin.
# So a sample, or a line of source in a traceback, that only speaks of memory is none.
_BEGINS_AN_ERROR: Final = re.compile(
    r"(?:^|(?:Error|ERROR|error|Exception|WARN|FATAL|what|instance of|traceback|failed)\b)"
    r"[^A-Za-z]*\Z|^\[(?:rank|default)\d+\]:?\s*\Z"
)


def where_memory_ran_out(line: str) -> Where | None:
    """Return where a line says that memory ran out, None when it says nothing of it."""
    if not _WORTH_A_LOOK.search(line):
        return None
    for pattern, where in _TABLE:
        found = pattern.search(line)
        if found and _BEGINS_AN_ERROR.search(line, 0, found.start()):
            return where
    return None


def count_kills() -> int:
    """Return how many processes the kernel ended here for want of memory; 0 when nobody counts."""
    for path in KILL_COUNTERS:
        try:
            found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return int(found[1])
    return 0


class MemoryWatch:
    """What one stage's lines, and then its exit code, tell of memory."""

    def __init__(self, count: Callable[[], int] = count_kills) -> None:
        self._count = count
        self._killed_before = count()
        self._line, self._where = "", ""
        self._steps = 0

    def take(self, line: str) -> None:
        """Look at a line."""
        where = where_memory_ran_out(line)
        # The rank that ran out tells more than the launcher that reports its end.
        if where and not (where == "host" and self._where == "device"):
            self._line, self._where, self._steps = line.strip()[:300], where, 0

    def step(self) -> None:
        """Note that a training step ended: what was told before it may have been survived."""
        self._steps += 1
        if self._steps >= STEPS_SURVIVED:
            self._line, self._where = "", ""

    def reason(self, code: int) -> str:
        """Return how memory ended the stage that left this exit code, "" when it was not that."""
        if code == 0:
            return ""
        if self._where == "device":
            return self._line
        killed = self._count() - self._killed_before
        if killed > 0:
            return f"{exit_reason(code)}: the kernel killed {killed} processes for want of memory"
        if self._line:
            return f"{exit_reason(code)}: of the host's memory: {self._line}"
        return exit_reason(code) if code in (-signal.SIGKILL, 128 + signal.SIGKILL) else ""
