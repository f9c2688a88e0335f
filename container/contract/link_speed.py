"""How fast GPUs of one machine reduce with one another: what is usual, and how it is said; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from container.contract.gpu_name import GpuName

USUAL_GB_PER_S: Final[Mapping[str, int]] = {
    "H100 SXM": 350,
    "H200": 350,
    "H200 SXM": 350,
    "B200": 600,
    "B200 SXM": 600,
    "A100 SXM": 220,
    "H100 PCIe": 30,
    "H100 NVL": 30,
    "H200 NVL": 30,
    "A100 PCIe": 15,
}
"""What an all-reduce over the GPUs of a machine reaches, about, as nccl-tests counts (busbw): shown
beside what was measured, and no limit.

NVLink with a switch: four fifths of one direction's 450 GB/s (H100, H200), 300 (A100), 900 (B200)
in the vendor's data sheets. PCIe without one: half of a direction's 64 GB/s (5.0) or 32 (4.0).
"""


def usual_bytes_per_s(gpu: str) -> float:
    """Return what is usual among GPUs of this name; 0 where that is not known."""
    return USUAL_GB_PER_S.get(str(GpuName.parse(gpu)), 0) * 1e9


def in_words(bytes_per_s: float, *, usual_bytes_per_s: float) -> str:
    """Return a measured rate beside what is usual; "" for what was not measured."""
    if not bytes_per_s:
        return ""
    rate = f"{bytes_per_s / 1e9:,.{0 if bytes_per_s >= 1e10 else 1}f} GB/s"
    return f"{rate} (usual: {usual_bytes_per_s / 1e9:.0f})" if usual_bytes_per_s else rate
