"""A Job with a session sidecar completes: the sidecar ends when the work is done."""

from typing import Any, Final

from moorline_operator.kube.kinds import LEASES

from e2e.suite.namespace import SHOP, SHOP_IMAGE, Namespace
from e2e.suite.pods import PYTHON, restricted
from tests.operator.watching import eventually, everything

_WORK: Final = """
import json, os, urllib.request
def ask(method, path, content=None):
    request = urllib.request.Request(os.environ["MOORLINE_URL"] + path, method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or "null")
session = ask("POST", "/v1/sessions", {"attributes": {"from": "a job"}})
print(session["worker"], ask("GET", "/v1/sessions/" + session["id"])["attributes"])
ask("DELETE", "/v1/sessions/" + session["id"])
"""


async def test_a_job_with_a_sidecar_completes(shop: Namespace) -> None:
    await shop.apply(_job(shop.access.target.image(SHOP_IMAGE)))
    try:
        await shop.kubectl("wait", "job/nightly", "--for=condition=Complete", "--timeout=150s")
        printed = await shop.kubectl("logs", "job/nightly", "--container=work")
        worker, _, attributes = printed.partition(" ")
        assert attributes.strip() == "{'from': 'a job'}"
        shop.story.note(f"it completed as {worker}")

        async def is_free() -> bool:
            leases = await everything(shop.access.kube, LEASES, shop.name)
            return f"moorline-shop-{worker}" not in {one["metadata"]["name"] for one in leases}

        await eventually(is_free, lambda: f"the name {worker} is not given back")
    finally:
        await shop.kubectl("delete", "job", "nightly")


def _job(image: str) -> dict[str, Any]:
    work = {"name": "work", "image": image, "command": [PYTHON, "-c", _WORK]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "nightly"},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"moorline.io/cluster": SHOP}},
                "spec": restricted(work),
            },
        },
    }
