"""Memory that runs out, in all its spellings: the batch is halved for each, and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from container.stages import out_of_memory
from container.stages.out_of_memory import MemoryWatch, count_kills, where_memory_ran_out
from tests.container.conftest import Launch
from tests.container.recipes import fake_recipe, trainer_stage

DEVICE = [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 79 GiB",
    "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 3 has",
    "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "RuntimeError: CUDA error: out of memory",
    "torch.AcceleratorError: CUDA error: out of memory",
    "CUDA error: out of memory",
    "[rank0]: RuntimeError: CUDA driver error: out of memory",
    "RuntimeError: Triton Error [CUDA]: out of memory",
    "RuntimeError: cuda runtime error (2) : out of memory at /pytorch/aten/src/THC/THCGeneral.cpp",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "RuntimeError: cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate`",
    "RuntimeError: cuFFT error: CUFFT_ALLOC_FAILED",
    "RuntimeError: CUDA error: cudaErrorMemoryAllocation",
    "cuda.CudaError: CUDA_ERROR_OUT_OF_MEMORY",
    "RuntimeError: CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY",
    "n1:42:99 [3] include/alloc.h:205 NCCL WARN Cuda failure 2 'out of memory'",
    "Cuda failure 'out of memory'",
    "n1:42:99 [0] include/alloc.h:189 NCCL WARN Failed to CUDA calloc async 4194304 bytes",
    "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.",
    "RuntimeError: HIP error: out of memory",
    "RuntimeError: HIP error: hipErrorOutOfMemory",
    "RuntimeError: MPS backend out of memory (MPS allocated: 1 GB)",
    "terminate called after throwing an instance of 'c10::OutOfMemoryError'",
    "  what():  CUDA out of memory. Tried to allocate 2.00 GiB",
]
HOST = [
    "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Killed. ",
    "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Bus error. It is possible",
    "MemoryError",
    "MemoryError: Unable to allocate 3.00 GiB",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3.00 GiB for an array",
    "pyarrow.lib.ArrowMemoryError: malloc of size 268435456 failed",
    "OSError: [Errno 12] Cannot allocate memory",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: can't allocate",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:83] . DefaultCPUAllocator: not enough memory:",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "  what():  std::bad_alloc",
    "Killed",
    "run.sh: line 3: 12345 Killed                  python -m scripts.base_train",
    "Memory cgroup out of memory: Killed process 4242 (python) total-vm:9kB",
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1",
    "  exitcode  : -9 (pid: 4242)",
    "E1128 12:00:00.123000 42 torch/elastic/api.py:869] failed (exitcode: -9) local_rank: 3",
    "  traceback : Signal 9 (SIGKILL) received by PID 4242",
]
PASSING = [
    "<|bos|>The most common reason is: CUDA out of memory",
    "a sample: my laptop ran out of memory and was killed",
    "    raise torch.OutOfMemoryError(",
    "    except torch.cuda.OutOfMemoryError:",
    "step 00010/21400 (0.05%) | loss: 9.8 | CUDA out of memory",
    "Peak memory usage: 71234.56MiB",
    "peak memory allocated: 7 GiB, set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True",
    "  exitcode  : -15 (pid: 4242)",
    "  exitcode  : 1 (pid: 4242)",
    "RuntimeError: DataLoader worker (pid 4242) exited unexpectedly with exit code 1.",
    "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Segmentation fault. ",
    "RuntimeError: CUDA error: an illegal memory access was encountered",
    "RuntimeError: CUDA error: device-side assert triggered",
    "UserWarning: pin memory is not supported, skilled allocators are",
    "OSError: [Errno 28] No space left on device",
    "x" * 16_000 + " memory " + "Error " * 500,
]


@pytest.mark.parametrize(
    ("line", "where"),
    [*((one, "device") for one in DEVICE), *((one, "host") for one in HOST)]
    + [(one, None) for one in PASSING],
)
def test_each_spelling_is_known_and_a_mention_is_none(line: str, where: str | None) -> None:
    """https://github.com/pytorch/pytorch/issues/8976 and others: one fault, many words."""
    assert where_memory_ran_out(line) == where


def watch(*lines: str, steps: int = 0, killed: int = 0) -> MemoryWatch:
    counts = iter([5, 5 + killed])
    found = MemoryWatch(lambda: next(counts))
    for line in lines:
        found.take(line)
    for _ in range(steps):
        found.step()
    return found


OUT = "torch.OutOfMemoryError: CUDA out of memory."


@pytest.mark.parametrize(
    ("watched", "code", "reason"),
    [
        (watch(OUT), 1, OUT),
        (watch(OUT), 0, ""),
        (watch(OUT, steps=1), 1, OUT),
        (watch(OUT, steps=2), 1, ""),
        (watch(OUT, "  exitcode  : -9 (pid: 4242)"), 1, OUT),
        (watch("Killed"), 1, "exit code 1: of the host's memory: Killed"),
        (watch(), 1, ""),
        (watch(killed=2), 1, "exit code 1: the kernel killed 2 processes for want of memory"),
        (watch(), -9, "ended by signal SIGKILL; the host's memory may have run out"),
        (
            watch(),
            137,
            "exit code 137, a child ended by signal SIGKILL; the host's memory may have run out",
        ),
        (watch(), -15, ""),
        (watch(), -6, ""),
    ],
)
def test_a_stage_ended_by_memory_says_how(watched: MemoryWatch, code: int, reason: str) -> None:
    """An error that two steps followed was survived: whatever ended the stage, it was not that."""
    assert watched.reason(code) == reason


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("low 0\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", 4),
        ("oom_kill_disable 0\nunder_oom 0\n", 0),
        (None, 0),
    ],
)
def test_the_kernel_counts_what_it_killed_in_this_container(
    text: str | None, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "memory.events"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(out_of_memory, "KILL_COUNTERS", (tmp_path / "absent", file))
    assert count_kills() == kills


@pytest.mark.parametrize(
    "flag", [f"--oom-words={DEVICE[4]}", f"--oom-words={DEVICE[10]}", f"--oom-words={HOST[0]}"]
)
def test_training_goes_on_with_half_the_batch_whatever_the_words(launch: Launch, flag: str) -> None:
    run = launch(fake_recipe(trainer_stage(flags=("--oom-above=2", flag))))
    assert run.verdict().outcome == "succeeded", run.log
    assert "device batch size is now 2" in run.log


def test_training_that_the_kernel_ends_goes_on_with_half_the_batch(launch: Launch) -> None:
    run = launch(fake_recipe(trainer_stage(flags=("--oom-above=4", "--oom-words=SIGKILL"))))
    assert run.verdict().outcome == "succeeded", run.log
    assert "device batch size is now 4" in run.log
    assert "the host's memory may have run out" in run.log
