"""Pods by what made them, as a person names it to kubectl."""

from collections.abc import Iterable
from typing import Final

from moorline_operator.pods import PodRecord

RESTARTABLE: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_SHOWN: Final = 10
"""Names in a sentence; the rest is counted."""


def cure(namespace: str, pods: Iterable[PodRecord]) -> str:
    """What replaces these pods by new ones, as sentences; the same pods give the same text."""
    pods = tuple(pods)
    owners = {pod.owner for pod in pods if pod.owner is not None}
    restartable = sorted(_reference(owner) for owner in owners if owner[0] in RESTARTABLE)
    tasks = sorted(_reference(owner) for owner in owners if owner[0] == "Job")
    others = sorted(
        _reference(owner) for owner in owners if owner[0] not in RESTARTABLE and owner[0] != "Job"
    )
    bare = sorted(f"pod/{pod.name}" for pod in pods if pod.owner is None)
    sentences = []
    if restartable:
        sentences.append(f"kubectl -n {namespace} rollout restart {_listed(restartable, ' ')}")
    if tasks:
        sentences.append(f"{_listed(tasks)} will be right in the next run")
    if others:
        sentences.append(f"restart {_listed(others)} by the means of its own controller")
    if bare:
        sentences.append(f"delete and make anew {_listed(bare)}")
    return "; ".join(sentences)


def _reference(owner: tuple[str, str]) -> str:
    kind, name = owner
    return f"{kind.lower()}/{name}"


def _listed(names: list[str], separator: str = ", ") -> str:
    listed = separator.join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{listed} (and {more} more)" if more > 0 else listed
