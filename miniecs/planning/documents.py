"""Answers as JSON documents, for programs; members have ECS's names where ECS has the thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.planning.capacity import Capacity
from miniecs.planning.measures import Loss, Measures, Stranded
from miniecs.planning.planned import Planned
from miniecs.planning.question import Answer, Question
from miniecs.planning.shares import Share, wait_text
from miniecs.planning.words import said_rule
from miniecs_scheduler import Rejection


def question_document(planned: Planned, question: Question) -> dict[str, Any]:
    """What was asked, with what a service said filled in. cpu in CPU units, memory in MiB."""
    demand = question.demand
    return {
        "cluster": planned.name,
        "taskDefinition": question.definition.family_revision,
        "count": question.count,
        "group": question.group,
        "cpu": demand.cpu,
        "memory": demand.memory,
        "placementStrategy": _rules(question.chain),
        "placementConstraints": _rules(question.constraints),
        "zones": None if question.zones is None else list(question.zones),
        "seed": question.seed,
        "capacityProviderStrategy": [
            {"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}
            for item in question.providers
        ],
    }


def answer_document(planned: Planned, answer: Answer, measures: Measures) -> dict[str, Any]:
    """hosts: those that get tasks; placements: where each task goes and why, in the order of choosing."""
    decision = answer.decision
    return {
        "question": question_document(planned, answer.question),
        "placed": measures.placed,
        "waiting": measures.waiting,
        "unplaced": measures.unplaced,
        "hosts": [
            {"id": each.host, "zone": each.zone, "tasks": each.tasks, "because": each.because}
            for each in answer.hosts
        ],
        "placements": [{"host": each.host, "because": each.because} for each in decision.placements],
        "capacityProviders": [_share(planned, answer, each) for each in answer.shares if each.provider],
        "considered": decision.considered,
        "rejected": dict(decision.rejected),
        "closest": None if decision.closest is None else _rejection(decision.closest),
        "rejections": [_rejection(each) for each in decision.rejections],
        "suggestion": decision.suggestion or None,
        "measures": measures_document(measures),
    }


def _share(planned: Planned, answer: Answer, share: Share) -> dict[str, Any]:
    request = answer.question.request(planned)
    return {
        "name": share.provider,
        "tasks": share.count,
        "placed": len(share.decision.placements),
        "waiting": share.waiting,
        "unplaced": share.refused,
        "waitsFor": wait_text(planned.capacity, share, request) if share.waiting else None,
    }


def measures_document(measures: Measures) -> dict[str, Any]:
    return {
        "hosts": measures.hosts,
        "hostsUsed": measures.hosts_used,
        "hostsEmpty": measures.hosts_empty,
        "tasksByZone": dict(measures.zones),
        "zoneDifference": measures.imbalance,
        "strandedCpu": _stranded(measures.stranded_cpu),
        "strandedMemory": _stranded(measures.stranded_memory),
        "worstHostLost": _loss(measures.host_loss),
        "worstZoneLost": _loss(measures.zone_loss),
    }


def capacity_document(planned: Planned, found: Capacity) -> dict[str, Any]:
    return {
        "question": question_document(planned, found.question),
        "type": found.type,
        "tasksPerHost": found.tasks_a_host,
        "needed": _hosts(found.needed),
        "neededWithOneHostLost": _hosts(found.one_host_lost),
        "neededWithOneZoneLost": _hosts(found.one_zone_lost),
        "toAdd": _hosts(found.added),
        "whyNot": found.why_not or None,
    }


def _rules(rules: Iterable[PlacementStrategy | PlacementConstraint]) -> list[str]:
    return [said_rule(rule) for rule in rules]


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return {
        "host": rejection.host,
        "reason": rejection.reason,
        "detail": rejection.detail,
        "needed": rejection.needed,
        "available": rejection.available,
    }


def _stranded(stranded: Stranded) -> dict[str, Any]:
    return {
        "amount": stranded.amount,
        "of": stranded.of,
        "percent": round(stranded.percent, 1),
        "hosts": stranded.hosts,
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {"id": loss.what, "tasks": loss.tasks, "of": loss.of, "percent": round(loss.percent, 1)}


def _hosts(by_zone: Counter[str] | None) -> dict[str, Any] | None:
    return None if by_zone is None else {"hosts": by_zone.total(), "byZone": dict(by_zone)}
