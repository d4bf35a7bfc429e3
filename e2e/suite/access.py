"""What a scenario acts with, and where it tells what it sees."""

from __future__ import annotations

from dataclasses import dataclass

from moorline_operator.kube.api import Kube

from e2e.suite.commands import Commands
from e2e.suite.story import Story
from e2e.suite.target import Target


@dataclass(frozen=True)
class Access:
    """A cluster, the two ways of talking to it, and the story of the scenario that does."""

    target: Target
    commands: Commands
    kube: Kube
    story: Story
