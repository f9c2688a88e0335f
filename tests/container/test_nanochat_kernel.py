"""Flash Attention 3 in the image: the files that were published, and found where nanochat looks."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from container.nanochat import kernel

REVISION = "de87b9b5af06dd9984df595bef90b2eba44b181a"
VARIANT = "torch29-cxx11-cu128-x86_64-linux"
OLDER = """
from kernels import get_kernel
flash = get_kernel('varunneal/flash-attention-3').interface
"""
NEWER = """
from kernels import get_kernel
def load(major):
    if major == 9:
        hf_kernel = "varunneal/flash-attention-3"
        return get_kernel(hf_kernel).interface
    else:
        hf_kernel = "kernels-community/flash-attn3"
        return get_kernel(hf_kernel).interface
"""


class Hub:
    """Lays files into a cache as the hub's library does: under their hashes, linked by name."""

    def __init__(self, folder: Path) -> None:
        self.variant = VARIANT
        self.spoiled = False
        self.asked: dict[str, Any] = {}
        self.attention = folder / "flash_attention.py"
        self.attention.write_text(OLDER)
        self.folder = folder / "baked"

    def snapshot_download(self, repository: str, *, cache_dir: str, **asked: Any) -> str:
        self.asked = {"repository": repository, **asked}
        root = Path(cache_dir) / "models--x--y"
        (root / "blobs").mkdir(parents=True)
        at = root / "snapshots" / REVISION / "build" / self.variant
        at.mkdir(parents=True)
        for name, content in {"__init__.py": b"import interface", "_C.so": b"\x7fELF"}.items():
            sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content)  # noqa: S324
            digest = sha1 if name.endswith("py") else hashlib.sha256(content)
            blob = root / "blobs" / digest.hexdigest()
            blob.write_bytes(content + b"!" * self.spoiled)
            (at / name).symlink_to(blob)
        return str(root / "snapshots" / REVISION)

    def build_variants(self) -> list[str]:
        return [VARIANT, "torch-cuda"]

    def _find_kernel_in_repo_path(self, folder: Path, _: str) -> tuple[str, Path]:
        at = folder / "build" / VARIANT
        if not (at / "__init__.py").exists():
            raise FileNotFoundError(f"no {VARIANT}")
        return "", at

    def bake(self, sha256: str = "") -> str:
        return kernel.bake(REVISION, sha256=sha256, folder=self.folder, attention=self.attention)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path)
    for name in ("huggingface_hub", "kernels.utils"):
        module = ModuleType(name)
        for member in ("snapshot_download", "build_variants", "_find_kernel_in_repo_path"):
            setattr(module, member, getattr(hub, member))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "kernels", ModuleType("kernels"))
    return hub


def test_the_kernel_lies_in_the_image_and_nanochat_asks_nobody_for_it(hub: Hub) -> None:
    """It came from one person's repository without a revision, when the machine was paid for.
    https://github.com/karpathy/nanochat/issues/737"""
    found = hub.bake()
    assert hub.asked["revision"] == REVISION
    assert hub.asked["allow_patterns"][0] == f"build/{VARIANT}/*"
    so = hub.folder / "build" / VARIANT / "_C.so"
    assert so.read_bytes() == b"\x7fELF" and not so.is_symlink()
    assert (hub.folder / "REVISION").read_text() == f"{REVISION} sha256:{found}\n"
    changed = hub.attention.read_text()
    assert "get_kernel('varunneal" not in changed
    assert f'get_local_kernel(__import__("pathlib").Path("{hub.folder}"), ' in changed


def test_the_hash_that_a_build_says_holds_the_next_one_to_it(hub: Hub) -> None:
    found = hub.bake()
    shutil.rmtree(hub.folder)
    hub.attention.write_text(OLDER)
    assert hub.bake(sha256=found) == found
    shutil.rmtree(hub.folder)
    with pytest.raises(kernel.KernelError, match=f"have the hash {found}, wanted was 0000"):
        hub.bake(sha256="0" * 64)


def test_a_file_of_other_content_than_was_published_is_refused(hub: Hub) -> None:
    hub.spoiled = True
    with pytest.raises(kernel.KernelError, match="a file came with the hash"):
        hub.bake()
    assert not hub.folder.exists()


def test_a_kernel_that_would_not_be_found_ends_the_build(hub: Hub) -> None:
    hub.variant = "torch28-cxx11-cu126-x86_64-linux"
    with pytest.raises(kernel.KernelError, match=f"no build for this PyTorch: no {VARIANT}"):
        hub.bake()


@pytest.mark.parametrize(
    ("source", "fits"), [(OLDER, True), (NEWER, True), ("", False), (OLDER + OLDER, False)]
)
def test_a_commit_that_asks_for_it_in_another_way_ends_the_build(source: str, fits: bool) -> None:
    if not fits:
        with pytest.raises(kernel.KernelError, match="must be 1"):
            kernel.taken_from(Path("/x"), source=source)
        return
    changed = kernel.taken_from(Path("/x"), source=source)
    compile(changed, "flash_attention.py", "exec")
    assert changed.count("get_local_kernel") == 1
    others = "kernels-community" in source
    assert ("get_kernel(hf_kernel)" in changed) == others, "other GPUs' is left as it was"


def test_what_the_hub_says_is_one_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", away)
    monkeypatch.setenv("FA3_REVISION", REVISION)
    assert kernel.main() == 1
    assert capsys.readouterr().err == "OSError: no route to host\n"
