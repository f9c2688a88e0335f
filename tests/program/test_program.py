"""What `__main__.py` declares."""

from __future__ import annotations


def test_declares_a_run_with_all_its_parts(program):
    declared = program()
    assert [found.type.rsplit(":", 1)[-1] for found in declared.resources] != []
    print(declared)
