"""What nobody outside io.net knows for sure, and where in the report its answer may lie; pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Question:
    """One open question; `how` says what a first paid run shows of it, and where to look."""

    text: str
    how: str


OPEN: tuple[Question, ...] = (
    Question(
        text="Is a container that exits 0 started again, and how often? What is the deployment's "
        "status after the last attempt?",
        how="attempts of the run, and the status and jobs of its deployment below",
    ),
    Question(
        text="Is anything refunded when a machine is given back early?",
        how="`amount_paid`, in a report made before and one made after; the console's balance",
    ),
    Question(
        text="For a row of eight GPUs: is `gpus_per_container` 8 or 1, and is its price that of "
        "the node?",
        how="the catalogue and the quotes below; what the console shows for the same choice",
    ),
    Question(
        text="Are `args` dropped when a machine is rented or changed?",
        how="nothing here sends them; `container_config` below shows what came back",
    ),
    Question(
        text="What does the health check ask, after how long, and what does a silent port do?",
        how="events of the worker below; how long the status page took to answer",
    ),
    Question(
        text="Are values of variables interpolated (`$`, `${`)? How large may they be?",
        how="compare `env_variables` in the console with the config where a value holds a `$`",
    ),
    Question(
        text="How does a log stream frame its lines, does it end, how long is it kept?",
        how="the log's framing below, and in a report of the day after",
    ),
    Question(
        text="Is the first page of the list 0 or 1? Is a new deployment in it at once?",
        how="pages 0 and 1 below; whether the list showed the machine while it started",
    ),
    Question(
        text="What do refusals look like: a bad key, a name taken, no capacity, no funds?",
        how="the answer to a made-up key below; the message of an update that failed",
    ),
    Question(
        text="May a private name be used again after its deployment has ended?",
        how="the program never uses one twice: by hand in the console",
    ),
    Question(
        text="When does the paid clock start? Is the boot paid?",
        how="created, started, minutes and the run's first attempt, side by side below",
    ),
    Question(
        text="How large are the container's disk and /dev/shm?",
        how="the machine check, in the first lines of the run's log",
    ),
    Question(
        text="How many calls a minute are allowed?", how="headers that speak of limits, below"
    ),
    Question(text="How many hours may be bought at most?", how="the quotes below"),
)
