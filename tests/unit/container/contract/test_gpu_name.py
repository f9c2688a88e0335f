"""GPU names as catalogues, drivers and people write them."""

from __future__ import annotations

import pytest

from container.contract.gpu_name import GpuName


@pytest.mark.parametrize(
    ("name", "family", "form", "memory_gb"),
    [
        ("H100", "H100", "", 80),
        ("h100", "H100", "", 80),
        ("H100 PCIe", "H100", "PCIe", 80),
        ("H100 PCI-E", "H100", "PCIe", 80),
        ("H100-PCIE-80GB", "H100", "PCIe", 80),
        ("H100SXM", "H100", "SXM", 80),
        ("H100 SXM5", "H100", "SXM", 80),
        ("H100 SXM5 \u00d78", "H100", "SXM", 80),
        ("8 x H100 SXM", "H100", "SXM", 80),
        ("8xH100", "H100", "", 80),
        ("HGX H100", "H100", "SXM", 80),
        ("H100 SXM5 NVLink", "H100", "SXM", 80),
        ("H100 NVL", "H100", "NVL", 94),
        ("H100NVL 94 GB", "H100", "NVL", 94),
        ("8H100.80S.176V", "H100", "SXM", 80),
        ("8H100.80S.176V__FI", "H100", "SXM", 80),
        ("gpu_4x_h100", "H100", "", 80),
        ("gpu_8x_h100_sxm5", "H100", "SXM", 80),
        ("gpu_1x_a6000", "A6000", "", 48),
        ("NVIDIA H100 80GB HBM3", "H100", "SXM", 80),
        ("NVIDIA H100 PCIe", "H100", "PCIe", 80),
        ("NVIDIA H100 NVL", "H100", "NVL", 94),
        ("NVIDIA H200", "H200", "", 141),
        ("NVIDIA A100-SXM4-80GB", "A100", "SXM", 80),
        ("NVIDIA A100-PCIE-40GB", "A100", "PCIe", 40),
        ("NVIDIA A100 80GB PCIe", "A100", "PCIe", 80),
        ("8A100.80S.240V", "A100", "SXM", 80),
        ("A100", "A100", "", 0),
        ("A100X", "A100X", "", 0),
        ("Tesla V100-SXM2-32GB", "V100", "SXM", 32),
        ("NVIDIA GeForce RTX 4090", "4090", "", 24),
        ("RTX4090", "4090", "", 24),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "4090 LAPTOP", "", 0),
        ("NVIDIA RTX A6000", "A6000", "", 48),
        ("NVIDIA RTX 6000 Ada Generation", "6000 ADA", "", 0),
        ("1RTX6000ADA.10V", "6000 ADA", "", 0),
        ("1L40S.20V", "L40S", "", 48),
        ("NVIDIA X900", "X900", "", 0),
        ("GH100X", "GH100X", "", 0),
        ("CPU", "CPU", "", 0),
        ("", "", "", 0),
        ("NVIDIA", "", "", 0),
    ],
)
def test_a_name_says_family_form_and_memory_however_it_is_spelled(
    name: str, family: str, form: str, memory_gb: int
) -> None:
    gpu = GpuName.parse(name)
    assert (gpu.family, gpu.form, gpu.size_gb) == (family, form, memory_gb)
    assert GpuName.parse(gpu.with_memory).with_memory == gpu.with_memory


def test_what_a_row_leaves_open_its_id_tells() -> None:
    assert GpuName.parse("H100", "8H100.80S.176V").form == "SXM"
    assert GpuName.parse("H100 PCIe", "8H100.80S.176V").form == "PCIe"
    assert GpuName.parse("", "gpu_8x_h100_sxm5").form == "SXM"
    assert GpuName.parse("H100", "226").form == ""
    assert GpuName.parse("H100", "8A100.80S.240V").form == ""
