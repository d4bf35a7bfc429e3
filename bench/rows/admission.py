"""Pods injected a hundred times a second: what the webhook adds to the making of a pod."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from moorline_operator.kube.kinds import SECRETS, SESSION_CLUSTERS

from bench.clients.connection import tls_address
from bench.cluster import Cluster, administrator, cluster, define, make_namespace
from bench.figures import figure, ratio
from bench.load import Sample, client
from bench.release import NAMESPACE, Operator, Release, install, replica, until_leading
from bench.results import Row, Unit, at_most
from bench.reviews import answer, drawn_review, refuse_a_bare_pod, shot
from bench.servers import Server, tls_peer
from bench.settings import Settings
from bench.shots import Shot, write_shots
from bench.stage import Series, alternate, chance_of, costs
from bench.workload import session_cluster

RATE: Final = 100
LEAST: Final = 0.97
"""Of the rate: with less the client, or the server, was held up by others."""

CONNECTIONS: Final = 16
"""The API server opens another one whenever all that it has are busy."""

PODS: Final = 200
QUICK_PODS: Final = 50
SPACE: Final = "web"
CLUSTER: Final = "shop"
OURS: Final = "Moorline"
PEER: Final = "aiohttp over TLS"


def measure(settings: Settings) -> Iterator[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(cluster(settings))
        release = asyncio.run(_installed(settings, ours))
        operator = stack.enter_context(replica(settings, release))
        address, reviews = asyncio.run(_drawn(settings, ours, release, operator))
        answers = [answer(address, review) for review in reviews]
        for review, body in zip(reviews, answers, strict=True):
            refuse_a_bare_pod(review, body)
        constant = answers[len(answers) // 2]
        peer, peer_address = stack.enter_context(tls_peer(settings, "admission_handler", constant))
        shots = [shot(review, body) for review, body in zip(reviews, answers, strict=True)]
        unlike = [shot(review, constant) for review in reviews]
        targets = {
            OURS: (Server(operator.process, operator.port), address, shots),
            PEER: (peer, peer_address, unlike),
        }
        yield _row(_asked(settings, targets))


async def _installed(settings: Settings, ours: Cluster) -> Release:
    async with administrator(ours.kubeconfig) as kube:
        await define(kube)
        return await install(settings, ours, kube)


async def _drawn(
    settings: Settings, ours: Cluster, release: Release, operator: Operator
) -> tuple[str, list[str]]:
    """Where the webhook is, and the questions."""
    chance = chance_of(settings, "admission")
    async with administrator(ours.kubeconfig) as kube:
        await until_leading(kube, release, operator)
        secret = await kube.get(SECRETS, NAMESPACE, release.settings["webhook"]["secret"])
        authority = settings.folder / "webhook-ca.crt"
        authority.write_bytes(base64.b64decode(secret["data"]["ca.crt"]))
        await make_namespace(kube, SPACE)
        await kube.create(SESSION_CLUSTERS, session_cluster(SPACE, CLUSTER))
        numbers = range(settings.sized(PODS, QUICK_PODS))
        reviews = [await drawn_review(kube, (SPACE, CLUSTER), each, chance) for each in numbers]
    return tls_address(operator.port, release.server_name, authority), reviews


def _asked(settings: Settings, targets: Mapping[str, tuple[Server, str, Sequence[Shot]]]) -> Series:
    def work(server: Server, address: str, shots: Sequence[Shot]) -> Sample:
        file = write_shots(settings.folder / f"reviews-{server.port}.tsv", shots)
        return client(
            settings, server, "paced", address, file,
            seconds=2 * settings.seconds, options=(RATE, CONNECTIONS),
        )  # fmt: skip

    return alternate(settings, {name: partial(work, *target) for name, target in targets.items()})


def _row(series: Series) -> Row:
    ours, theirs = series[OURS], series[PEER]
    reached = figure([sample.rate for sample in ours]).median
    return Row(
        name="admission",
        what="inject one pod, 100 a second on one core, over TLS: p99",
        against="",
        target=at_most(20, Unit.MILLISECONDS),
        value=figure([sample.p99_us / 1e3 for sample in ours]),
        ours=_told(ours),
        theirs=f"{PEER}, constant: {_told(theirs)}",
        cost=ratio(costs(theirs), costs(ours)),
        note="" if reached >= LEAST * RATE else f"only {reached:,.0f} a second could be asked for",
    )


def _told(samples: Sequence[Sample]) -> str:
    p50, p99 = (figure([getattr(s, name) / 1e3 for s in samples]) for name in ("p50_us", "p99_us"))
    cpu = figure(costs(list(samples))).median / 1e3
    return f"p50 {p50.median:.2f} ms, p99 {p99.median:.2f} ms, {cpu:.2f} ms of CPU each"
