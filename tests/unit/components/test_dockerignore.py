"""What a `.dockerignore` leaves out means what Docker says."""

from __future__ import annotations

import pytest

from components.dockerignore import Ignored


@pytest.mark.parametrize(
    ("pattern", "name", "ignored"),
    [
        ("*.pyc", "a.pyc", True),
        ("*.pyc", "b/a.pyc", False),
        ("**/*.pyc", "b/c/a.pyc", True),
        ("**/__pycache__", "__pycache__/a", True),
        ("docs", "docs/a/b", True),
        ("docs", "mydocs/a", False),
        ("/docs", "docs/a", True),
        ("a?c", "abc", True),
        ("a.c", "abc", False),
        ("**", "anything/at/all", True),
    ],
)
def test_patterns_mean_what_docker_says(pattern: str, name: str, ignored: bool) -> None:
    assert Ignored([pattern]).matches(name) == ignored
