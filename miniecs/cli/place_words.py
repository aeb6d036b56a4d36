"""What `place` says to a person: tables of hosts and of strategies, and sentences about what does not fit."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from miniecs.cli import output
from miniecs.cli.output import counted
from miniecs.control.capacity import MOST_PROVISIONING
from miniecs.model import arns
from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.planning.capacity import Capacity
from miniecs.planning.measures import Loss, Measures, Stranded
from miniecs.planning.planned import Planned
from miniecs.planning.question import Answer, Question
from miniecs.planning.shares import wait_text
from miniecs.planning.words import rounded, said
from miniecs_scheduler import Decision, shortened

_MOST_HOSTS = 50  # that are listed
Measured = tuple[Answer, Measures]


def print_notes(planned: Planned) -> None:
    for note in planned.notes:
        print(f"Note: {note}.", file=sys.stderr)


def print_answer(planned: Planned, answer: Answer, measures: Measures) -> None:
    print(f"{_subject(planned, answer.question)}, {strategy_text(answer.question)}{_rules(answer.question)}")
    if answer.hosts:
        print()
        _print_hosts(planned, answer)
    print()
    print(_outcome(answer, measures))
    if measures.host_loss.what is not None:
        print(_losses(measures))
    print(_left(measures))
    _print_lacking(planned, answer)


def print_comparison(planned: Planned, answers: Sequence[Measured]) -> None:
    first = answers[0][0].question
    print(f"{_subject(planned, first)}{_rules(first)}\n")
    columns = [strategy_text(answer.question, bare=True) for answer, _ in answers]
    output.print_table(("", *columns), _rows([measures for _, measures in answers]))
    for answer, _ in answers:
        if answer.decision.unplaced:
            print(f"\n{strategy_text(answer.question, bare=True)}:", end="")
            _print_lacking(planned, answer)


def print_capacity(planned: Planned, found: Capacity) -> None:
    question = found.question
    print(f"{_subject(planned, question)}, {strategy_text(question)}{_rules(question)}")
    if not found.tasks_a_host:
        print(f"\nNo number of {found.type} hosts ({found.size}) is enough: {found.why_not}.")
        return
    print(f"An empty {found.type} ({found.size}) takes {counted(found.tasks_a_host, 'task')}.\n")
    rows = (
        (f"only {found.type} hosts", found.needed),
        ("… and still when any one host is lost", found.one_host_lost),
        ("… and still when any one zone is lost", found.one_zone_lost),
        ("to add to this cluster as it is", found.added),
    )
    zones = list(dict.fromkeys(zone for _, each in rows for zone in sorted(each or ())))
    output.print_table(
        ("NEEDED", "HOSTS", *zones),
        [(what, *_numbers(each, zones)) for what, each in rows],
    )


def strategy_text(question: Question, *, bare: bool = False) -> str:
    chain = said(question.chain) or "random"
    return chain if bare else f"by {chain}"


def host_name(id: str) -> str:
    """As people see it: eight digits of a container instance, a file's host as it is called."""
    return arns.name_of(id)[:8] if id.startswith("arn:") else id


def _subject(planned: Planned, question: Question) -> str:
    demand = question.demand
    return (
        f"cluster {planned.name}: {counted(question.count, 'task')} of {question.definition.family_revision} "
        f"({demand.cpu} CPU units, {demand.memory} MiB each) in group {question.group}"
    )


def _rules(question: Question) -> str:
    rules = [said([rule]) for rule in question.constraints]
    rules += (f"memberOf:{rule.expression}" for rule in question.definition.placement_constraints)
    if question.providers:
        rules.append(f"on {', '.join(map(_provider, question.providers))}")
    if question.zones is not None:
        rules.append(f"only in {', '.join(question.zones)}")
    return f", {'; '.join(rules)}" if rules else ""


def _provider(item: CapacityProviderStrategyItem) -> str:
    """``capacity provider spot (base 2, weight 3)``."""
    parts = [f"base {item.base}"] if item.base else []
    return f"capacity provider {item.capacity_provider} ({', '.join([*parts, f'weight {item.weight}'])})"


def _print_hosts(planned: Planned, answer: Answer) -> None:
    demand = answer.question.demand
    before = Counter(task.host for task in planned.of_group(answer.question.group))
    rows = []
    for each in answer.hosts[:_MOST_HOSTS]:
        free, has = planned.fleet.free(each.host), planned.instances[each.host]
        rows.append(
            (
                host_name(each.host),
                each.zone,
                f"+{each.tasks}",
                before[each.host] + each.tasks,
                f"{free.cpu - each.tasks * demand.cpu} of {has.cpu}",
                f"{free.memory - each.tasks * demand.memory} of {has.memory}",
                each.because,
            )
        )
    headings = ("HOST", "ZONE", "NEW", "ALL", "CPU LEFT", "MIB LEFT", "WHY THE FIRST OF THEM WENT THERE")
    output.print_table(headings, rows)
    if len(answer.hosts) > _MOST_HOSTS:
        more = counted(len(answer.hosts) - _MOST_HOSTS, "more host")
        print(f"… and {more}; --output json lists all.")


def _outcome(answer: Answer, measures: Measures) -> str:
    if not measures.placed:
        count, now = answer.question.count, " now" if measures.waiting else ""
        return f"It finds no place{now}." if count == 1 else f"None of {count} finds a place{now}."
    by_zone = ", ".join(f"{zone} {tasks}" for zone, tasks in measures.zones.items())
    return (
        f"{measures.placed} of {counted(answer.question.count, 'task')} on {measures.hosts_used} of "
        f"{counted(measures.hosts, 'host')}. {answer.question.group} then has by zone: {by_zone} "
        f"(difference {measures.imbalance})."
    )


def _losses(measures: Measures) -> str:
    host, zone = measures.host_loss, measures.zone_loss
    return f"Losing any one host takes down at most {_loss(host)}; any one zone {_loss(zone)}."


def _left(measures: Measures) -> str:
    return (
        f"Hosts left empty: {measures.hosts_empty}. Stranded CPU units: {_stranded(measures.stranded_cpu)}, "
        f"MiB: {_stranded(measures.stranded_memory)}."
    )


def _loss(loss: Loss) -> str:
    if loss.what is None:
        return "-"
    return f"{loss.tasks} of {loss.of} tasks, {rounded(loss.percent)} % ({host_name(loss.what)})"


def _stranded(stranded: Stranded) -> str:
    if not stranded.amount:
        return "0"
    return f"{stranded.amount} ({rounded(stranded.percent)} %, {counted(stranded.hosts, 'host')})"


def _print_lacking(planned: Planned, answer: Answer) -> None:
    """What of each share finds no place, and why not."""
    for share in answer.shares:
        if not share.decision.unplaced:
            continue
        told = []
        if share.waiting:
            told.append(f"{wait_text(planned.capacity, share, answer.question.request(planned))}.")
        if share.refused:
            of = "" if share.provider is None else f" of capacity provider {share.provider}"
            full = f" At most {MOST_PROVISIONING} tasks of a cluster may wait." if share.waiting else ""
            told.append(f"{counted(share.refused, 'task')} without a place{of}.{full}")
        why = " Why the next one finds none:" if share.decision.rejected else ""
        print("", "\n".join(told) + why, sep="\n")
        _print_why(share.decision)


def _print_why(decision: Decision) -> None:
    for reason, hosts in decision.rejected.items():
        print(f"  {counted(hosts, 'host')}: {reason}")
    if decision.closest is not None:
        print(f"Closest is {host_name(decision.closest.host)}: {decision.closest.detail}.")
    print(f"What would help: {shortened(decision.suggestion)}.")


def _rows(all: Sequence[Measures]) -> list[tuple[object, ...]]:
    zones = list(dict.fromkeys(zone for each in all for zone in each.zones))
    waiting = [each.waiting for each in all]
    return [
        ("tasks placed", *(each.placed for each in all)),
        *([("tasks that wait for capacity", *waiting)] if any(waiting) else []),
        ("tasks without a place", *(each.unplaced for each in all)),
        ("hosts that get tasks", *(each.hosts_used for each in all)),
        ("hosts left empty", *(each.hosts_empty for each in all)),
        *((f"tasks in {zone}", *(each.zones.get(zone, 0) for each in all)) for zone in zones),
        ("difference between zones", *(each.imbalance for each in all)),
        ("stranded CPU units", *(_stranded(each.stranded_cpu) for each in all)),
        ("stranded MiB", *(_stranded(each.stranded_memory) for each in all)),
        ("worst loss of a host", *(_loss(each.host_loss) for each in all)),
        ("worst loss of a zone", *(_loss(each.zone_loss) for each in all)),
    ]


def _numbers(by_zone: Counter[str] | None, zones: Sequence[str]) -> tuple[object, ...]:
    if by_zone is None:
        return ("none is enough", *("" for _ in zones))
    return (str(by_zone.total()), *(str(by_zone[zone]) for zone in zones))
