import ssl

import kopf
from moorline_operator.handlers import Connection, NothingCompared


def test_chain_and_name_of_the_api_server_are_verified_and_no_more() -> None:
    context = Connection(server="https://127.0.0.1:6443").as_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_kopf_keeps_nothing_of_what_it_sees_to_compare_with_and_writes_nothing() -> None:
    body, patch, storage = kopf.Body({"spec": {"a": 1}}), kopf.Patch(), NothingCompared()

    assert storage.build(body=body) == {}
    storage.store(body=body, patch=patch, essence=storage.build(body=body))
    assert storage.fetch(body=body) is None
    assert not patch
