"""Who is killed where: the victims, the steps of an ECG's way, and the cases that a seed draws from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from random import Random
from typing import Literal

Kind = Literal["files", "servers"]
KINDS: tuple[Kind, ...] = ("files", "servers")


class Step(StrEnum):
    """A place on the way, named by what stands in the database there."""

    BEFORE_ACCEPT = "before-accept"
    """web: all of the ECG is written, nothing is committed."""
    AFTER_ACCEPT = "after-accept"
    """web: committed; the wake-up is not sent."""
    IN_SEND = "in-send"
    """web, file broker: the message is written, and not yet to be seen."""
    AFTER_SEND = "after-send"
    """web: the wake-up is sent; the sender has no answer."""
    BEFORE_CLAIM = "before-claim"
    AFTER_CLAIM = "after-claim"
    IN_INFERENCE = "in-inference"
    BEFORE_RESULT = "before-result"
    """worker: report, prediction and audit are written, nothing is committed."""
    AFTER_RESULT = "after-result"
    """worker: committed; the message is not acknowledged."""
    AFTER_SWEEP = "after-sweep"
    """worker, in its sweeper: due jobs were put off, and are not woken yet."""

    @property
    def place(self) -> int:
        """Tell the place on the way."""
        return list(Step).index(self)


class Victim(StrEnum):
    """What is killed, or fails."""

    WEB = "web"
    WORKER = "worker"
    SUPERVISOR = "supervisor"
    """The parent of the worker at the step, which finishes its job and ends."""
    CONTAINER = "container"
    """The worker at the step and its supervisor at once."""
    STALL = "stall"
    """The worker at the step stands still until its lease has ended, and goes on."""
    BROKER = "broker"
    DATABASE = "database"
    DISK = "disk-full"
    CUT_BROKER = "broker-cut"
    CUT_DATABASE = "database-cut"


IN_WEB = (Step.BEFORE_ACCEPT, Step.AFTER_ACCEPT, Step.IN_SEND, Step.AFTER_SEND)
IN_WORKER = (
    Step.BEFORE_CLAIM,
    Step.AFTER_CLAIM,
    Step.IN_INFERENCE,
    Step.BEFORE_RESULT,
    Step.AFTER_RESULT,
    Step.AFTER_SWEEP,
)
ACTS = {Victim.WEB: "self", Victim.WORKER: "self", Victim.SUPERVISOR: "parent", Victim.CONTAINER: "both"}
"""How a victim at the step dies by itself; all others are disturbed while the process at the step waits."""


def matrix(kind: Kind) -> list[tuple[Victim, Step]]:
    """List every victim at every step that it can be met at."""
    alone = [(Victim.WEB, step) for step in IN_WEB] + [(Victim.WORKER, step) for step in IN_WORKER]
    supervised = (Step.AFTER_CLAIM, Step.BEFORE_RESULT)
    alone += [(victim, step) for victim in (Victim.SUPERVISOR, Victim.CONTAINER) for step in supervised]
    alone += [(Victim.STALL, step) for step in (Step.AFTER_CLAIM, Step.IN_INFERENCE, Step.BEFORE_RESULT)]
    around: tuple[Victim, ...] = (Victim.DISK,)
    if kind == "servers":
        around = (Victim.BROKER, Victim.DATABASE, Victim.DISK, Victim.CUT_BROKER, Victim.CUT_DATABASE)
    cells = alone + [(victim, step) for victim in around for step in (*IN_WEB, *IN_WORKER)]
    return [cell for cell in cells if kind == "files" or cell[1] != Step.IN_SEND]


@dataclass(frozen=True)
class Case:
    """One kill; everything about it follows from kind, seed and number."""

    kind: Kind
    seed: int
    number: int
    victim: Victim
    step: Step
    ecgs: int
    away_seconds: float
    """How long a server, a connection or the disk's space is gone."""
    back_first: bool
    """Whether the process at the step goes on only when it is back."""

    def __str__(self) -> str:
        return f"case {self.number} of seed {self.seed} ({self.kind}): {self.victim} at {self.step}"

    @property
    def repeat(self) -> str:
        """Tell how to do this case alone."""
        return f"python tests/crash/run.py kills --kind {self.kind} --seed {self.seed} --only {self.number}"


def cases(kind: Kind, seed: int) -> Iterator[Case]:
    """Draw cases without end; each turn through the matrix has its own order."""
    cells = matrix(kind)
    for number in count():
        turn, place = divmod(number, len(cells))
        victim, step = Random(f"{kind} {seed} {turn}").sample(cells, len(cells))[place]
        chance = Random(f"{kind} {seed} case {number}")
        yield Case(
            kind=kind,
            seed=seed,
            number=number,
            victim=victim,
            step=step,
            ecgs=chance.choice((1, 1, 2, 3)),
            away_seconds=round(chance.uniform(0.05, 1.0), 2),
            back_first=chance.random() < 0.4,
        )
