"""What the leader reads and writes, in its turns, against an API server that only remembers."""

import asyncio
import contextlib
from copy import deepcopy

import pytest
from moorline_operator.certificates import keep_certificates, published_bundle
from moorline_operator.certificates.keeping import ROTATE_NOW, Keeper, Proof
from moorline_operator.certificates.material import Material, certificates_in, read_material
from moorline_operator.errors import Conflict, NotFound
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import MUTATING_WEBHOOKS, SECRETS, Kind
from moorline_operator.settings import CertificateSettings, WebhookSettings
from structlog.testing import capture_logs

from tests.operator.certificates.samples import a_secret, made

AT_ONCE = CertificateSettings(propagation="0s")


class Remembering:
    """A Secret and a webhook configuration, and a count of what was written."""

    def __init__(self, secret: KubeObject | None, *webhooks: str) -> None:
        self.secret = secret
        self.configuration: KubeObject = {
            "metadata": {"name": "moorline"},
            "webhooks": [{"name": name, "clientConfig": {}} for name in webhooks],
        }
        self.writes = 0
        self.is_disturbed = False

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject:
        found = self.secret if kind == SECRETS else self.configuration
        if found is None:
            raise NotFound(f"get {namespace}/{name}", "it is not there")
        return deepcopy(found)

    async def replace(self, kind: Kind, obj: KubeObject) -> KubeObject:
        assert kind == SECRETS
        if self.is_disturbed:
            raise Conflict("replace", "somebody was faster")
        self.writes += 1
        self.secret = deepcopy(obj)
        return obj

    async def apply(self, kind: Kind, obj: KubeObject) -> KubeObject:
        assert kind == MUTATING_WEBHOOKS
        self.writes += 1
        self.configuration["webhooks"] = obj["webhooks"]
        return obj

    @property
    def material(self) -> Material:
        return read_material(self.secret or {})


async def works(_bundle: str) -> bool:
    return True


async def fails(_bundle: str) -> bool:
    return False


def a_keeper(
    kube: Remembering, settings: CertificateSettings = AT_ONCE, proof: Proof = works
) -> Keeper:
    return Keeper(kube, "system", WebhookSettings(), settings, proof)


async def test_an_empty_secret_is_filled_and_published_in_one_turn() -> None:
    kube = Remembering(a_secret(Material()), "one.moorline.io", "two.moorline.io")
    await a_keeper(kube).turn()
    bundle = kube.material.bundle
    assert bundle
    assert published_bundle(kube.configuration) == bundle
    assert [webhook["name"] for webhook in kube.configuration["webhooks"]] == [
        "one.moorline.io",
        "two.moorline.io",
    ]


async def test_what_is_as_it_should_be_is_not_written() -> None:
    kube = Remembering(a_secret(Material()), "one")
    keeper = a_keeper(kube)
    await keeper.turn()
    writes = kube.writes
    await keeper.turn()
    assert kube.writes == writes


async def test_keys_of_others_in_the_secret_stay() -> None:
    secret = a_secret(Material())
    secret["data"] = {"theirs": "eA==", "next.crt": "eA=="}
    kube = Remembering(secret, "one")
    await a_keeper(kube).turn()
    assert kube.secret is not None
    assert kube.secret["data"]["theirs"] == "eA=="
    assert "next.crt" not in kube.secret["data"]


@pytest.mark.parametrize(("proof", "is_rotated"), [(works, True), (fails, False)])
async def test_a_token_rotates_once_a_handshake_works(proof: Proof, *, is_rotated: bool) -> None:
    kube = Remembering(a_secret(Material()), "one")
    keeper = a_keeper(kube, proof=proof)
    await keeper.turn()
    first = kube.material
    assert kube.secret is not None
    kube.secret["metadata"]["annotations"] = {ROTATE_NOW: "today"}
    for _ in range(3):
        await keeper.turn()
    assert (kube.material.authority_key != first.authority_key) is is_rotated
    both = certificates_in(published_bundle(kube.configuration))
    assert len(both) == 2
    writes = kube.writes
    await keeper.turn()
    assert kube.writes == writes


async def test_the_next_authority_waits_until_it_is_published() -> None:
    kube = Remembering(a_secret(Material()), "one")
    keeper = a_keeper(kube, CertificateSettings(propagation="1h"))
    await keeper.turn()
    first = kube.material
    assert kube.secret is not None
    kube.secret["metadata"]["annotations"] = {ROTATE_NOW: "today"}
    for _ in range(3):
        await keeper.turn()
    assert kube.material.next_authority
    assert kube.material.leaf == first.leaf


async def test_a_write_in_between_is_left_to_the_next_turn() -> None:
    kube = Remembering(a_secret(Material()), "one")
    kube.is_disturbed = True
    with pytest.raises(Conflict):
        await a_keeper(kube).turn()
    assert not published_bundle(kube.configuration)


async def test_certificates_of_other_software_are_only_published() -> None:
    # Only what cert-manager writes, and an authority whose key it keeps for itself.
    theirs = Material(bundle=made().bundle, leaf=made().leaf, leaf_key=made().leaf_key)
    kube = Remembering(a_secret(theirs), "one")
    keeper = a_keeper(kube, CertificateSettings(managed=False))
    await keeper.turn()
    assert kube.material == theirs
    assert published_bundle(kube.configuration) == theirs.bundle
    assert kube.writes == 1


async def test_webhooks_that_differ_are_told_anew() -> None:
    kube = Remembering(a_secret(Material()), "one", "two")
    keeper = a_keeper(kube)
    await keeper.turn()
    kube.configuration["webhooks"][1] = {"name": "two", "clientConfig": {}}
    assert not published_bundle(kube.configuration)
    await keeper.turn()
    assert published_bundle(kube.configuration) == kube.material.bundle


async def test_what_stays_wrong_is_told_once() -> None:
    kube = Remembering(None, "one")
    with capture_logs() as logs, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await keep_certificates(kube, "system", WebhookSettings(), AT_ONCE, works, period=0.001)
    assert [line["event"] for line in logs] == ["cannot keep the webhook's certificates"]
    assert "system/moorline-webhook" in logs[0]["reason"]
