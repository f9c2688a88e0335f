"""What a GPU's name says: its family, its form and its memory, however a catalogue or the driver
spells it; no speed, no price. Standard library only.

Spellings seen: "H100", "H100 PCIe", "H100 SXM5 x8", "gpu_4x_h100", "8H100.80S.176V" (a whole node
of io.net's catalogue: 80 GB, SXM), "NVIDIA H100 80GB HBM3" (how nvidia-smi names the SXM form).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Form = Literal["SXM", "PCIe", "NVL", ""]

_NODE = re.compile(
    r"(?P<count>\d+)(?P<family>[A-Z]+\d+[A-Z]*)(\.(?P<memory>\d+)(?P<sxm>S?))?\.\d+V(__[A-Z]{2})?"
)
_COUNT = re.compile(r"\b\d+ ?X\b|\b\d+X(?=[A-Z])|\bX ?\d{1,2}\b|\(\d+\)")
_FORM = re.compile(r"(SXM\d?|\b[HD]GX\b)|(PCI-?E(?:XPRESS)?)|(NVL)(?![A-Z0-9])")
_MEMORY = re.compile(r"(?<![A-Z0-9.])(\d+) ?G(?:I?B)?\b")
_BRANDS: Final = re.compile(r"\b(?:RTX|GTX|QUADRO|TESLA|GEFORCE)(?=\d|A\d)")
_NOISE: Final = re.compile(
    r"NVIDIA|GEFORCE|TESLA|QUADRO|[RG]TX|AMD|INSTINCT|GPUS?|TENSOR|CORE|GENERATION|GRAPHICS"
    r"|NVLINK|NVSWITCH|HBM\dE?|GDDR\dX?|SERVER|WORKSTATION|EDITION|BLACKWELL|NODE"
)
_KNOWN: Final = re.compile(
    r"A10|A100|A40|A6000|B200|B300|H20|H100|H200|H800|L4|L40|L40S|T4|V100|3090|4090|5090"
)
_ONE_SIZE_GB: Final = {
    "H100": 80,
    "H200": 141,
    "L40S": 48,
    "L40": 48,
    "L4": 24,
    "A6000": 48,
    "A40": 48,
    "A10": 24,
    "3090": 24,
    "4090": 24,
    "5090": 32,
    "T4": 16,
}
"""Families sold with one size of memory, from the vendor's data sheets. An H100 NVL has 94."""


@dataclass(frozen=True)
class GpuName:
    """A GPU's name, taken apart: "" and 0 where it leaves something open, no family for no name."""

    family: str  # without brand: "H100", "A6000", "4090", "6000 ADA"
    form: Form = ""
    memory_gb: int = 0

    @classmethod
    def parse(cls, *names: str) -> GpuName:
        """Read a name; what it leaves open is read from the further ones, such as a row's ID.

        A further name of another family tells nothing.
        """
        read = [one for one in map(_read, names) if one.family]
        if not read:
            return cls("")
        first = read[0]
        same = [one for one in read if one.family == first.family]
        forms: list[Form] = [one.form for one in same if one.form]
        memory_gb = next((one.memory_gb for one in same if one.memory_gb), 0)
        return cls(first.family, forms[0] if forms else "", memory_gb)

    def __str__(self) -> str:
        return " ".join(part for part in (self.family, self.form) if part)

    @property
    def is_known(self) -> bool:
        """Whether catalogue and driver are known to agree on it; other two names may be one GPU."""
        return bool(_KNOWN.fullmatch(self.family))

    @property
    def size_gb(self) -> int:
        """Its memory, also where the name need not say it; 0 where there are several sizes."""
        nvl = (self.family, self.form) == ("H100", "NVL")
        return self.memory_gb or (94 if nvl else _ONE_SIZE_GB.get(self.family, 0))

    @property
    def with_memory(self) -> str:
        """The name with its memory, where that is known; `parse` reads it back."""
        return f"{self} {self.size_gb}GB" if self.size_gb else str(self)

    def asks_for(self, other: GpuName) -> bool:
        """Whether another is one of those that this name asks for: what it leaves open fits any.

        The other one's gaps fit nothing that is asked for: a row must say that it is what it is.
        """
        return (
            bool(self.family)
            and self.family == other.family
            and self.form in ("", other.form)
            and (not self.memory_gb or self.memory_gb == other.size_gb)
        )


def _read(name: str) -> GpuName:
    text = name.upper().strip().replace("×", "X")
    node = _NODE.fullmatch(text.replace(" ", ""))
    if node:
        family, memory_gb = _family(node["family"]), int(node["memory"] or 0)
        return GpuName(family, "SXM" if node["sxm"] else "", memory_gb)
    text = _COUNT.sub(" ", re.sub(r"[_/,-]+", " ", text.replace("PCI-E", "PCIE")))
    said = _FORM.search(text)
    form = _form(said)
    memory = _MEMORY.search(text)
    rest = _family(_MEMORY.sub(" ", _FORM.sub(" ", text)))
    if not form and rest == "H100" and re.search(r"\bHBM3\b", text):
        form = "SXM"  # the PCIe card has HBM2e, and the driver says NVL of the third form
    return GpuName(rest, form, int(memory[1]) if memory else 0)


def _form(said: re.Match[str] | None) -> Form:
    if said is None:
        return ""
    return "SXM" if said[1] else "PCIe" if said[2] else "NVL"


def _family(text: str) -> str:
    words = _BRANDS.sub(" ", text)
    words = re.sub(r"(?<=\d)(?=ADA\b)", " ", words)
    return " ".join(one for one in re.findall(r"[A-Z0-9.]+", words) if not _NOISE.fullmatch(one))
