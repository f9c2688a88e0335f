"""The image's tag follows its content."""

from __future__ import annotations

from components.run_image import content_tag

FILES = {"Dockerfile": b"FROM base", "recipes/one.py": b"x = 1"}


def tag(files: dict[str, bytes] = FILES, *, target: str = "rehearsal", **args: str) -> str:
    return content_tag(files, target=target, build_args=args)


def test_the_same_content_gives_the_same_tag_in_any_order() -> None:
    assert tag(dict(reversed(FILES.items()))) == tag()
    assert len(tag()) == 16


def test_a_changed_file_name_target_or_argument_gives_another_tag() -> None:
    seen = {
        tag(),
        tag(BASE_IMAGE="a"),
        tag(BASE_IMAGE="b"),
        tag(target="nanochat"),
        tag({**FILES, "recipes/one.py": b"x = 2"}),
        tag({"Dockerfile": b"FROM base", "recipes/two.py": b"x = 1"}),
        tag({"Dockerfile": b"FROM base", "recipes/one.sh": b"x = 1"}),
    }
    assert len(seen) == 7
