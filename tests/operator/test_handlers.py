import ssl

from moorline_operator.handlers import Connection


def test_chain_and_name_of_the_api_server_are_verified_and_no_more() -> None:
    context = Connection(server="https://127.0.0.1:6443").as_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
