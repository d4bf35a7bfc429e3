"""Specs with one value, key or type that is wrong by itself."""

from datetime import date

from tests.api.cases import BACKEND, Wrong, wrong

_DURATION = 'write a duration, such as "90s"'
_SIZE = 'write a size in bytes, such as "1Mi"'
_PORT = "write a whole number from 1 to 65535"
_COUNT = "write a whole number from 0 to 2147483647"


def _mongodb(**fields: object) -> dict[str, object]:
    return {"type": "MongoDB", "mongodb": fields}


def _l2(**fields: object) -> dict[str, object]:
    return {**BACKEND, "l2": fields}


_SHAPES = (
    Wrong("no-backend", "spec.backend", 'such as {"type": "MongoDB"', {}),
    Wrong("null-backend", "spec.backend", "required: write", {"backend": None}),
    wrong("backend-is-text", "backend", "where sessions are kept", backend="MongoDB"),
    wrong("backend-without-type", "backend.type", "one of MongoDB, Po", backend={"mongodb": {}}),
    wrong("unknown-type", "backend.type", "one of MongoDB, Po", backend={"type": "Oracle"}),
    wrong("type-in-lower-case", "backend.type", 'not "memory"', backend={"type": "memory"}),
    wrong(
        "member-is-list", "backend.mongodb", "a mapping with", backend=_mongodb() | {"mongodb": []}
    ),
    wrong("cookie-is-list", "cookie", "write a mapping with name, path", cookie=["SESSION"]),
    wrong("cache-is-a-flag", "cache", "write a mapping with mode", cache=False),
    wrong("save-is-text", "sessions.save", "mapping with mode, period", sessions={"save": "Write"}),
)
_UNKNOWN_KEYS = (
    wrong("misspelt-part", "sesions", "did you mean sessions?", sesions={}),
    wrong("misspelt-field", "sessions.maxidle", "mean maxIdle?", sessions={"maxidle": "1h"}),
    wrong("snake-case", "cookie.same_site", "did you mean sameSite?", cookie={"same_site": "Lax"}),
    wrong("of-jetty", "cookie.jvmRoute", "here are name, path, domain", cookie={"jvmRoute": "a"}),
    wrong("in-save", "sessions.save.perod", "mean period?", sessions={"save": {"perod": "5s"}}),
    wrong(
        "in-memory", "backend.memory.x", "remove it", backend={"type": "Memory", "memory": {"x": 1}}
    ),
    wrong("number-as-key", "5", "unknown field: remove it", **{"5": True}),
    wrong("selector", "selector", "unknown field: remove it", selector={"matchLabels": {}}),
    wrong("resources", "purge.resources.limit", "mean limits?", purge={"resources": {"limit": {}}}),
    wrong(
        "secondaries",
        "backend.mongodb.readPreference",
        "reads always go to the primary",
        backend=_mongodb(readPreference="secondaryPreferred"),
    ),
)
_BACKENDS = (
    wrong(
        "no-database", "backend.mongodb.database", "database's name", backend=_mongodb(database="")
    ),
    wrong(
        "dotted", "backend.mongodb.database", "letters, digits", backend=_mongodb(database="a.b")
    ),
    wrong(
        "long-database",
        "backend.mongodb.database",
        "write at most 63 characters, not 64",
        backend=_mongodb(database="d" * 64),
    ),
    wrong(
        "operator", "backend.mongodb.collection", "collection", backend=_mongodb(collection="$x")
    ),
    wrong(
        "no-write", "backend.mongodb.writeConcern", "at least 1", backend=_mongodb(writeConcern=0)
    ),
    wrong(
        "w-51", "backend.mongodb.writeConcern", "majority or", backend=_mongodb(writeConcern="51")
    ),
    wrong(
        "w-all", "backend.mongodb.writeConcern", "majority or", backend=_mongodb(writeConcern="all")
    ),
    wrong(
        "secret-without-name",
        "backend.mongodb.connectionSecretRef.name",
        "required: write the name of a Secret",
        backend=_mongodb(connectionSecretRef={"key": "uri"}),
    ),
    wrong(
        "secret-in-capitals",
        "backend.mongodb.connectionSecretRef.name",
        "write the name of a Secret",
        backend=_mongodb(connectionSecretRef={"name": "Shop"}),
    ),
    wrong(
        "secret-key-with-slash",
        "backend.mongodb.connectionSecretRef.key",
        "write a key in the Secret",
        backend=_mongodb(connectionSecretRef={"name": "shop", "key": "a/b"}),
    ),
    wrong(
        "sql-injection",
        "backend.postgresql.table",
        "a table's name",
        backend={"type": "PostgreSQL", "postgresql": {"table": "a; drop table b"}},
    ),
    wrong(
        "relative-path",
        "backend.file.directory",
        "an absolute path",
        backend={"type": "File", "file": {"directory": "sessions"}},
    ),
    wrong(
        "l2-type",
        "backend.l2.type",
        "one of Memcached",
        backend=_l2(type="Redis", memcached={"servers": ["a:1"]}),
    ),
    wrong("l2-alone", "backend.l2.memcached", "required: write", backend=_l2(type="Memcached")),
    wrong(
        "l2-no-servers",
        "backend.l2.memcached.servers",
        "write a list of 1 to 64 items",
        backend=_l2(type="Memcached", memcached={"servers": []}),
    ),
    wrong(
        "l2-server-without-port",
        "backend.l2.memcached.servers[1]",
        "write a server as host:port",
        backend=_l2(type="Memcached", memcached={"servers": ["a:1", "b"]}),
    ),
)
_SESSIONS = (
    wrong("number-for-duration", "sessions.maxIdle", _DURATION, sessions={"maxIdle": 30}),
    wrong("no-unit", "sessions.maxIdle", _DURATION, sessions={"maxIdle": "30"}),
    wrong("days", "sessions.maxAge", _DURATION, sessions={"maxAge": "3d"}),
    wrong("words", "sessions.maxAge", _DURATION, sessions={"maxAge": "3 days"}),
    wrong("negative", "sessions.touchPeriod", _DURATION, sessions={"touchPeriod": "-1s"}),
    wrong("empty", "sessions.renewGrace", _DURATION, sessions={"renewGrace": ""}),
    wrong("overflow", "sessions.maxAge", "at most 292 years", sessions={"maxAge": "9999999h"}),
    wrong(
        "long-duration",
        "sessions.maxIdle",
        "write at most 24 characters, not 26",
        sessions={"maxIdle": "1s" * 13},
    ),
    wrong("save-mode", "sessions.save.mode", "one of Write, C", sessions={"save": {"mode": "-2"}}),
    wrong("no-bytes", "sessions.maxBytes", _SIZE, sessions={"maxBytes": 0}),
    wrong("megabytes", "sessions.maxBytes", _SIZE, sessions={"maxBytes": "1MB"}),
    wrong("eight-exa", "sessions.maxBytes", "write a size", sessions={"maxBytes": "8Ei"}),
    wrong("half-a-byte", "sessions.maxBytes", _SIZE, sessions={"maxBytes": 0.5}),
    wrong("flag-for-size", "sessions.maxBytes", _SIZE, sessions={"maxBytes": True}),
    wrong("store-ids", "sessions.storeIds", "one of Hashed, Plain", sessions={"storeIds": "SHA"}),
    wrong(
        "quoted-flag", "sessions.saveOnCreate", "without quotes", sessions={"saveOnCreate": "no"}
    ),
    wrong("shutdown", "sessions.onShutdown", "one of Preserve, I", sessions={"onShutdown": "Keep"}),
    wrong("outage", "sessions.onOutage", "one of Refuse, Buffer", sessions={"onOutage": "Wait"}),
    wrong(
        "negative-limit",
        "sessions.perPrincipal.max",
        _COUNT,
        sessions={"perPrincipal": {"max": -1}},
    ),
    wrong(
        "when-reached",
        "sessions.perPrincipal.whenReached",
        "one of EndOldest, Refuse",
        sessions={"perPrincipal": {"whenReached": "EndNewest"}},
    ),
)
_COOKIES = (
    wrong("cookie-name-space", "cookie.name", "a cookie name", cookie={"name": "MY SESSION"}),
    wrong("cookie-name-equals", "cookie.name", "a cookie name", cookie={"name": "a=b"}),
    wrong("cookie-name-empty", "cookie.name", "a cookie name", cookie={"name": ""}),
    wrong("cookie-name-nul", "cookie.name", "a cookie name", cookie={"name": "a\x00"}),
    wrong("cookie-name-umlaut", "cookie.name", "a cookie name", cookie={"name": "s\u00e4ssion"}),
    wrong("cookie-name-line", "cookie.name", "a cookie name", cookie={"name": "SESSION\n"}),
    wrong("path-attribute", "cookie.path", "a path of visible", cookie={"path": "/; Domain=x"}),
    wrong(
        "path-header", "cookie.path", "a path of visible", cookie={"path": "/\r\nSet-Cookie: a=b"}
    ),
    wrong("path-relative", "cookie.path", "a path of visible", cookie={"path": "shop"}),
    wrong("domain-attribute", "cookie.domain", "a domain name", cookie={"domain": "a.b; Secure"}),
    wrong("domain-line", "cookie.domain", "a domain name", cookie={"domain": "example.com\n"}),
    wrong("domain-url", "cookie.domain", "a domain name", cookie={"domain": "https://a.example"}),
    wrong("same-site", "cookie.sameSite", "one of Strict, Lax, None", cookie={"sameSite": "none"}),
    wrong("bare-off", "cookie.hint", "in quotes, for YAML", cookie={"hint": False}),
    wrong("http-only", "cookie.httpOnly", "true or false", cookie={"httpOnly": 1}),
)
_CACHE = (
    wrong("cache-mode", "cache.mode", "one of Enabled, Disabled", cache={"mode": "On"}),
    wrong("no-sessions", "cache.maxSessions", "from 1 to", cache={"maxSessions": 0}),
    wrong("fraction", "cache.maxSessions", "a whole number", cache={"maxSessions": 10.5}),
    wrong("negative-size", "cache.maxBytes", _SIZE, cache={"maxBytes": -1}),
    wrong("evict", "cache.evict", "one of Never, AfterRequest", cache={"evict": "-1"}),
    wrong("staleness", "cache.staleness", "one of Pushed, Bounced", cache={"staleness": "Push"}),
)
_OPERATIONS = (
    wrong("scavenge-limit", "scavenge.limit", _COUNT, scavenge={"limit": "all"}),
    wrong("scavenge-period", "scavenge.period", _DURATION, scavenge={"period": "10min"}),
    wrong(
        "zone-space", "purge.timeZone", "a time zone", purge={"timeZone": "Central European Time"}
    ),
    wrong("purge-suspend", "purge.suspend", "true or false", purge={"suspend": "yes"}),
    wrong("prefix-dash", "workers.prefix", "a short prefix", workers={"prefix": "node-"}),
    wrong("prefix-long", "workers.prefix", "at most 16 characters", workers={"prefix": "n" * 17}),
    wrong("port-zero", "sidecar.port", _PORT, sidecar={"port": 0}),
    wrong("port-text", "sidecar.healthPort", _PORT, sidecar={"healthPort": "7071"}),
    wrong("port-high", "sidecar.opsPort", _PORT, sidecar={"opsPort": 65536}),
    wrong("image", "sidecar.image", "an image reference", sidecar={"image": "a b"}),
    wrong(
        "context", "sidecar.defaultContext", "a context path", sidecar={"defaultContext": "shop"}
    ),
    wrong("percent", "sidecar.traceRatio", "a number from 0 to 1", sidecar={"traceRatio": 5}),
    wrong("log-level", "sidecar.logLevel", "one of debug, info", sidecar={"logLevel": "INFO"}),
    wrong(
        "token", "sidecar.tokenSecretRef", "mapping with name, key", sidecar={"tokenSecretRef": "t"}
    ),
    wrong(
        "cpu-fraction",
        "sidecar.resources.limits.cpu",
        "write a quantity of Kubernetes",
        sidecar={"resources": {"limits": {"cpu": 0.5}}},
    ),
    wrong(
        "cpu-date",
        "sidecar.resources.limits.cpu",
        "not a date",
        sidecar={"resources": {"limits": {"cpu": date(2026, 11, 22)}}},
    ),
    wrong(
        "number-as-resource",
        "purge.resources.limits.1",
        "write the name in quotes",
        purge={"resources": {"limits": {1: 1}}},
    ),
    wrong(
        "limits-are-a-list",
        "purge.resources.limits",
        "a mapping of names to values, at most 16, not a list of 1",
        purge={"resources": {"limits": ["cpu"]}},
    ),
    wrong(
        "seventeen-limits",
        "purge.resources.limits",
        "at most 16, not a mapping of 17",
        purge={"resources": {"limits": {f"example.com/{n}": 1 for n in range(17)}}},
    ),
    wrong("huge-port", "sidecar.port", "not a huge number", sidecar={"port": 10**5000}),
    wrong("pod-monitor", "monitoring.podMonitor", "true or false", monitoring={"podMonitor": "x"}),
    wrong("suspend", "suspend", "true or false, without quotes", suspend="true"),
)

WRONG_VALUES: tuple[Wrong, ...] = (
    *_SHAPES,
    *_UNKNOWN_KEYS,
    *_BACKENDS,
    *_SESSIONS,
    *_COOKIES,
    *_CACHE,
    *_OPERATIONS,
)
