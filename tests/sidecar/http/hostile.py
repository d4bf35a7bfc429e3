"""Bytes that no well-behaved client sends, and the status that each is refused with."""

from __future__ import annotations

from typing import Final

GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST: Final = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END: Final = b"\r\n\r\n"

REQUEST_LINES: Final = {
    "http/0.9": b"GET /" + END,
    "http/0.9 by number": b"GET / HTTP/0.9" + END,
    "http/1.2": b"GET / HTTP/1.2\r\nHost: x" + END,
    "http/1.10": b"GET / HTTP/1.10\r\nHost: x" + END,
    "http/2.0": b"GET / HTTP/2.0\r\nHost: x" + END,
    "http/2.0 keep-alive": b"GET / HTTP/2.0\r\nHost: x\r\nConnection: keep-alive" + END,
    "http/2": b"GET / HTTP/2\r\nHost: x" + END,
    "http in lower case": b"GET / http/1.1\r\nHost: x" + END,
    "another protocol": b"GET / ICE/1.0\r\nHost: x" + END,
    "preface of http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tls handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "an answer": b"HTTP/1.1 200 OK" + END,
    "nothing but zeros": b"\x00" * 100,
    "unknown method": b"BREW / HTTP/1.1\r\nHost: x" + END,
    "method in lower case": b"get / HTTP/1.1\r\nHost: x" + END,
    "method of another protocol": b"DESCRIBE / HTTP/1.1\r\nHost: x" + END,
    "space before the method": b" GET / HTTP/1.1\r\nHost: x" + END,
    "tab after the method": b"GET\t/ HTTP/1.1\r\nHost: x" + END,
    "space after the version": b"GET / HTTP/1.1 \r\nHost: x" + END,
    "no target": b"GET HTTP/1.1\r\nHost: x" + END,
    "bare lf after the line": b"GET / HTTP/1.1\nHost: x" + END,
    "bare cr after the line": b"GET / HTTP/1.1\rHost: x" + END,
}

TARGETS: Final = {
    "absolute target": b"http://x/",
    "target of connect": b"x:80",
    "asterisk": b"*",
    "without a slash": b"v1/sessions",
    "only a query": b"?a=b",
    "fragment": b"/a#b",
    "space": b"/a b",
    "tab": b"/a\tb",
    "zero byte": b"/a\x00b",
    "delete": b"/a\x7fb",
    "latin-1": b"/caf\xe9",
    "utf-8 in the query": b"/?a=\xc3\xa9",
}

FIELDS: Final = {
    "no host": b"A: b",
    "two hosts": b"Host: x\r\nHost: y",
    "two equal hosts": b"Host: x\r\nhost: x",
    "two empty hosts": b"Host:\r\nHost:",
    "obs-fold": b"Host: x\r\nA: b\r\n c",
    "obs-fold with a tab": b"Host: x\r\nA: b\r\n\tc",
    "folded first field": b" Host: x",
    "space before the colon": b"Host : x",
    "tab before the colon": b"Host\t: x",
    "no colon": b"Host: x\r\nA",
    "empty name": b"Host: x\r\n: b",
    "space in a name": b"Host: x\r\nA b: c",
    "latin-1 in a name": b"Host: x\r\n\xe9: c",
    "zero byte in a name": b"Host: x\r\nA\x00: c",
    "zero byte in a value": b"Host: x\r\nA: b\x00c",
    "control character": b"Host: x\r\nA: b\x01c",
    "vertical tab": b"Host: x\r\nA: \x0bb",
    "delete": b"Host: x\r\nA: b\x7f",
    "bare lf": b"Host: x\nA: b",
    "bare cr": b"Host: x\rA: b",
    "bare lf at the end": b"Host: x\r\nA: b\n",
    "websocket": b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket",
    "several upgrades": b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket",
    "two contexts": b"Host: x\r\nMoorline-Context: /a\r\nMoorline-Context: /b",
    "two sessions": b"Host: x\r\nMoorline-Session: a\r\nMoorline-Session: b",
    "two keys": b"Host: x\r\nIdempotency-Key: a\r\nIdempotency-Key: a",
    "two tokens": b"Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b",
    "two origins": b"Host: x\r\nOrigin: a\r\nOrigin: b",
}

FRAMING: Final = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5",
    "list of lengths": b"Content-Length: 5, 5",
    "plus": b"Content-Length: +5",
    "minus": b"Content-Length: -5",
    "hexadecimal": b"Content-Length: 0x5",
    "empty length": b"Content-Length:",
    "length with a space": b"Content-Length: 5 5",
    "length with an underscore": b"Content-Length: 5_0",
    "superscript": b"Content-Length: \xb2",
    "length beyond 64 bits": b"Content-Length: 99999999999999999999999",
    "identity": b"Transfer-Encoding: identity",
    "gzip and chunked": b"Transfer-Encoding: gzip, chunked",
    "gzip, then chunked": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "chunked and identity": b"Transfer-Encoding: chunked, identity",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked, then chunked": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "nearly chunked": b"Transfer-Encoding: xchunked",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1",
    "chunked after a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "empty coding": b"Transfer-Encoding:",
    "space before the colon": b"Transfer-Encoding : chunked",
}

CHUNKS: Final = {
    "prefixed size": b"0x5\r\nabcde\r\n0",
    "negative size": b"-5\r\nabcde\r\n0",
    "signed size": b"+5\r\nabcde\r\n0",
    "space before a size": b" 5\r\nabcde\r\n0",
    "space after a size": b"5 \r\nabcde\r\n0",
    "no size": b"\r\nabcde\r\n0",
    "no digit": b"g\r\nabcde\r\n0",
    "size beyond 64 bits": b"FFFFFFFFFFFFFFFFF\r\nabcde\r\n0",
    "bare lf after a size": b"5\nabcde\r\n0",
    "bare lf after a chunk": b"5\r\nabcde\n0",
    "chunk longer than said": b"5\r\nabcdef\r\n0",
    "no end of a chunk": b"5\r\nabcde0",
    "zero byte in an extension": b"5;\x00\r\nabcde\r\n0",
    "bare lf in an extension": b"5;a\nabcde\r\n0",
    "bare cr in an extension": b"5;a\rbabcde\r\n0",
    "open quote in an extension": b'5;a="b\r\nabcde\r\n0',
    "length in the trailers": b"5\r\nabcde\r\n0\r\nContent-Length: 3",
    "coding in the trailers": b"5\r\nabcde\r\n0\r\nTransfer-Encoding: chunked",
    "space in the name of a trailer": b"5\r\nabcde\r\n0\r\nX y: 3",
}

OTHERS: Final = {
    "connect": (b"CONNECT x:80 HTTP/1.1\r\nHost: x" + END, 400),
    "connect to a path": (b"CONNECT /a HTTP/1.1\r\nHost: x" + END, 400),
    "chunked in http/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked" + END + b"0" + END,
        400,
    ),
    "length above the limit": (POST + b"Content-Length: 4194305" + END, 413),
    "length of 64 bits": (POST + b"Content-Length: 18446744073709551615" + END, 413),
    "long target": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x" + END, 431),
    "long field": (GET + b"A: " + b"b" * 40_000 + END, 431),
    "long name": (GET + b"A" * 40_000 + b": b" + END, 431),
    "many fields": (GET + b"A: b\r\n" * 100 + b"\r\n", 431),
    "not wanted": (b"PUT /unwanted HTTP/1.1\r\nHost: x\r\nContent-Length: 9" + END, 404),
}

CASES: Final[dict[str, tuple[bytes, int]]] = {
    **{f"line: {name}": (raw, 400) for name, raw in REQUEST_LINES.items()},
    **{
        f"target: {name}": (b"GET " + target + b" HTTP/1.1\r\nHost: x" + END, 400)
        for name, target in TARGETS.items()
    },
    **{
        f"field: {name}": (b"GET / HTTP/1.1\r\n" + fields + END, 400)
        for name, fields in FIELDS.items()
    },
    **{
        f"framing: {name}": (POST + fields + END + b"0" + END, 400)
        for name, fields in FRAMING.items()
    },
    **{f"chunk: {name}": (CHUNKED + body + END, 400) for name, body in CHUNKS.items()},
    **{f"other: {name}": case for name, case in OTHERS.items()},
}
