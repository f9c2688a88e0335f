"""What a register of remedies consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One message with a remedy: the module it stands in and words of it that no other there has.

    `carried_out_by` is the test, as pytest names it without parameters, that does what the message
    says and sees that it helps. `no_remedy` says instead why there is nothing to carry out, as for
    a heading or an example, or why no test may do it, as for what takes root.
    """

    module: str
    words: str
    carried_out_by: str = ""
    no_remedy: str = ""
