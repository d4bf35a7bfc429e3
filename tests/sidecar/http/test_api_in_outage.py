"""The API while the store is away, where more than one call to the sessions makes an answer."""

import pytest
from moorline_api import OnOutage
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.sessions.service import Sessions

from tests.sidecar.sessions.workers import VIRTUAL_TIME, cluster, cut

pytestmark = VIRTUAL_TIME


async def call(sessions: Sessions, method: str, path: str, cookie: str = "") -> Response:
    api = Api(sessions, ByCookie(sessions, Cookies(CookiePolicy())), Gate())
    fields = {b"cookie": cookie.encode()} if cookie else {}
    answer = api.handle(Request(method.encode(), path.encode(), b"", fields))
    return answer if isinstance(answer, Response) else await answer


@pytest.mark.parametrize(
    ("on_outage", "name", "status"),
    [
        (OnOutage.BUFFER, "absent", 404),
        (OnOutage.BUFFER, "user", 204),
        (OnOutage.REFUSE, "absent", 503),
        (OnOutage.REFUSE, "user", 503),
    ],
)
async def test_the_copy_says_what_can_be_deleted_where_changes_are_kept(
    on_outage: OnOutage, name: str, status: int
) -> None:
    async with cluster(on_outage=on_outage) as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        await cut(a)
        target = f"/v1/sessions/{session_id}/attributes/{name}"
        assert (await call(a, "DELETE", target)).status == status
