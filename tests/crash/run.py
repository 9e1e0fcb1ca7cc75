"""Crashes the service on purpose, and checks from outside that nothing is lost, twice or stuck.

python tests/crash/run.py kills --kills 500 --seed 1
python tests/crash/run.py kills --kind files --seed 1 --only 17
python tests/crash/run.py flush
python tests/crash/run.py poison
python tests/crash/run.py soak --ecgs 10000

Ends with 1 where something is wrong.
"""

import signal
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import click
from flush import flush
from kills import ATTEMPTS, Campaign, Tally
from poison import poison
from service import SHIPPED, Service
from soak import Soaked, soak
from steps import KINDS, Case, Kind, cases
from tqdm import tqdm

_ROUND = 24

_SEED = click.option("--seed", default=1, show_default=True)
_KIND = click.option("--kind", type=click.Choice(KINDS), multiple=True, default=KINDS, show_default=True)
_ONE_KIND = click.option("--kind", type=click.Choice(KINDS), default="servers", show_default=True)
_LOGS = click.option("--logs", type=click.Path(path_type=Path), help="Keep the logs of all processes in this folder.")


@click.group()
def main() -> None:
    """Crash the service, and see what is left."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was begun is taken down, as after Ctrl-C


@main.command("kills")
@click.option("--kills", "number", default=500, show_default=True, help="Over all kinds.")
@_SEED
@_KIND
@click.option("--only", type=int, multiple=True, help="The number of a single case, to repeat it.")
@click.option("--workers", default=3, show_default=True)
@_LOGS
def kills_command(
    number: int, seed: int, kind: tuple[Kind, ...], only: tuple[int, ...], workers: int, logs: Path | None
) -> None:
    """Kill every victim at every step, in turns through the matrix."""
    tally = Tally()
    chosen = {each: _chosen(each, seed, number // len(kind), only) for each in kind}
    began = time.monotonic()
    with tqdm(total=sum(map(len, chosen.values())), unit="kill", mininterval=1) as bar:
        try:
            for each in kind:
                with Service(
                    each, workers=workers, supervised=frozenset({1}), maximum_attempts=ATTEMPTS, logs=logs
                ) as service:
                    _campaign(service, chosen[each], tally, bar)
        except KeyboardInterrupt:
            tally.violations.append("interrupted; what was done until then is above")
    tally.seconds = time.monotonic() - began
    _show(tally)
    _end(tally.violations)


def _chosen(kind: Kind, seed: int, number: int, only: tuple[int, ...]) -> list[Case]:
    drawn = cases(kind, seed)
    if only:
        return [case for case in islice(drawn, max(only) + 1) if case.number in only]
    return list(islice(drawn, number))


def _campaign(service: Service, chosen: Sequence[Case], tally: Tally, bar: "tqdm[None]") -> None:
    def progress(case: Case) -> None:
        bar.set_postfix_str(f"{case.kind}: {case.victim} at {case.step}", refresh=False)
        bar.update()

    campaign = Campaign(service, tally, progress)
    try:
        for start in range(0, len(chosen), _ROUND):
            campaign.round(chosen[start : start + _ROUND])
            if tally.violations:
                break
        campaign.final_check()
    finally:
        campaign.close()


def _show(tally: Tally) -> None:
    steps = list(dict.fromkeys(step for _, _, step in sorted(tally.done, key=lambda cell: cell[2].place)))
    for kind in KINDS:
        victims = list(dict.fromkeys(victim for each, victim, _ in sorted(tally.done) if each == kind))
        if victims:
            click.echo("".join(f"{text:>14}" for text in (kind, *steps)))
        for victim in victims:
            click.echo(
                "".join(f"{text:>14}" for text in (victim, *(tally.done[kind, victim, step] or "" for step in steps)))
            )
    times = f"{tally.seconds:.0f} s; the longest time without a report was {tally.longest_wait:.1f} s"
    click.echo(f"{tally.kills} kills, {tally.ecgs} ECGs in {times}")


@main.command("flush")
@click.option("--waiting", default=200, show_default=True, help="How many ECGs wait.")
@_SEED
@_ONE_KIND
@_LOGS
def flush_command(waiting: int, seed: int, kind: Kind, logs: Path | None) -> None:
    """Empty the broker while ECGs wait."""
    with Service(kind, workers=2, logs=logs) as service:
        problems = flush(service, waiting, f"flush-{seed}") + service.end()
    click.echo(f"{waiting} ECGs waited when all messages were lost")
    _end(problems)


@main.command("poison")
@click.option("--others", default=100, show_default=True, help="How many ECGs pass it by.")
@_SEED
@_ONE_KIND
@_LOGS
def poison_command(others: int, seed: int, kind: Kind, logs: Path | None) -> None:
    """Send an ECG that kills whoever reads it."""
    with Service(kind, workers=2, logs=logs) as service:
        problems = poison(service, others, f"poison-{seed}") + service.end()
    click.echo(f"one deadly ECG among {others}")
    _end(problems)


@main.command("soak")
@click.option("--ecgs", default=10_000, show_default=True)
@_SEED
@_ONE_KIND
@_LOGS
def soak_command(ecgs: int, seed: int, kind: Kind, logs: Path | None) -> None:
    """Send many ECGs, and measure the memory of each process."""
    with (
        Service(kind, workers=2, patience=SHIPPED, fresh=True, logs=logs) as service,
        tqdm(total=ecgs, unit="ECG", mininterval=1) as bar,
    ):
        soaked = soak(service, ecgs, f"soak-{seed}", lambda read: bar.update(read - bar.n))
    _show_memory(soaked)
    click.echo(f"{ecgs} ECGs in {soaked.seconds:.0f} s; the oldest unfinished job is {soaked.oldest_age:g} s old")
    _end(soaked.problems)


def _show_memory(soaked: Soaked) -> None:
    names = sorted({name for sample in soaked.memory.values() for name in sample})
    click.echo("private MB after" + "".join(f"{name:>18}" for name in names))
    for read, sample in soaked.memory.items():
        click.echo(f"{read:16}" + "".join(f"{sample.get(name, 0):18.1f}" for name in names))


def _end(problems: Sequence[str]) -> None:
    click.echo(f"{len(problems)} violations")
    for problem in problems:
        click.echo(f"  {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
