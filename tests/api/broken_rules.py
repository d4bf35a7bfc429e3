"""Specs that break a rule between fields, or come near enough to breaking it."""

from tests.api.cases import BACKEND, Spec, Wrong, wrong

MEMBERS = {
    "MongoDB": "mongodb",
    "PostgreSQL": "postgresql",
    "MySQL": "mysql",
    "SQLite": "sqlite",
    "Redis": "redis",
    "Infinispan": "infinispan",
    "Hazelcast": "hazelcast",
    "Datastore": "datastore",
    "File": "file",
    "Memory": "memory",
}

_BACKENDS = (
    *(
        wrong(
            f"{kind}-without-member",
            f"backend.{member}",
            f"write `{member}: {{}}`",
            backend={"type": kind},
        )
        for kind, member in MEMBERS.items()
        if kind != "Memory"
    ),
    *(
        wrong(
            f"{member}-beside-mongodb",
            f"backend.{member}",
            f"remove it, or write `type: {kind}`",
            backend={**BACKEND, member: {}},
        )
        for kind, member in MEMBERS.items()
        if kind != "MongoDB"
    ),
    wrong(
        "mongodb-beside-memory",
        "backend.mongodb",
        "remove it, or write `type: MongoDB`",
        backend={"type": "Memory", "memory": {}, "mongodb": {}},
    ),
)
_COOKIES = (
    wrong(
        "host-prefix-not-secure",
        "cookie.secure",
        "write `secure: true`",
        cookie={"name": "__Host-S", "secure": False},
    ),
    wrong(
        "host-prefix-with-path",
        "cookie.path",
        "write `path: /`",
        cookie={"name": "__Host-S", "path": "/shop"},
    ),
    wrong(
        "host-prefix-with-domain",
        "cookie.domain",
        'write `domain: ""`',
        cookie={"name": "__Host-S", "domain": "example.com"},
    ),
    wrong(
        "host-prefix-in-any-case",
        "cookie.path",
        "write `path: /`",
        cookie={"name": "__hOST-S", "path": "/shop"},
    ),
    wrong(
        "secure-prefix-not-secure",
        "cookie.secure",
        "write `secure: true`",
        cookie={"name": "__Secure-S", "secure": False},
    ),
    wrong(
        "same-site-none-not-secure",
        "cookie.secure",
        "`sameSite: Lax`",
        cookie={"sameSite": "None", "secure": False},
    ),
    wrong(
        "partitioned-not-secure",
        "cookie.secure",
        "`partitioned: false`",
        cookie={"partitioned": True, "secure": False},
    ),
)
_TIMES = (
    wrong("tombstones-too-short", "purge.invalidAge", "at least", purge={"invalidAge": "59m59s"}),
    wrong("no-tombstones", "purge.invalidAge", 'at least "1h"', purge={"invalidAge": "0"}),
    wrong(
        "grace-below-two-touches",
        "scavenge.gracePeriod",
        "at least twice sessions.touchPeriod",
        scavenge={"gracePeriod": "119s"},
    ),
    wrong(
        "grace-below-two-touches-by-microseconds",
        "scavenge.gracePeriod",
        "at least twice sessions.touchPeriod",
        scavenge={"gracePeriod": "1500us"},
        sessions={"touchPeriod": "800us"},
    ),
    wrong(
        "touches-longer-than-half-the-grace",
        "scavenge.gracePeriod",
        "or shorten that",
        sessions={"touchPeriod": "31m"},
    ),
)
_PORTS = (
    wrong("health-on-port", "sidecar.healthPort", "that of `port`", sidecar={"healthPort": 7070}),
    wrong("ops-on-port", "sidecar.opsPort", "those of `port`", sidecar={"opsPort": 7070}),
    wrong("ops-on-health", "sidecar.opsPort", "`healthPort`", sidecar={"opsPort": 7071}),
    wrong("port-on-the-default-of-health", "sidecar.healthPort", "another", sidecar={"port": 7071}),
)
_SCHEDULES = tuple(
    wrong(f"schedule-{schedule}", "purge.schedule", cure, purge={"schedule": schedule})
    for schedule, cure in (
        ("@every 6h", '"0 */6 * * *"'),
        ("@every", '"0 */6 * * *"'),
        ("TZ=Europe/Berlin 0 3 * * *", "write the zone as `timeZone`"),
        ("CRON_TZ=UTC @daily", "write the zone as `timeZone`"),
        ("@reboot", "write five cron fields"),
        ("@Daily", "write five cron fields"),
        ("daily", "write five cron fields"),
        ("", "write five cron fields"),
        ("0 3 * *", "write five cron fields"),
        ("0 0 3 * * *", "write five cron fields"),
        ("60 3 * * *", "write five cron fields"),
        ("0 24 * * *", "write five cron fields"),
        ("0 3 0 * *", "write five cron fields"),
        ("0 3 * 13 *", "write five cron fields"),
        ("0 3 * * 7", "write five cron fields"),
        ("0 3 * * MO", "write five cron fields"),
        ("*/0 3 * * *", "write five cron fields"),
        ("0 3 * * *\n", "write five cron fields"),
        (" 0 3 * * *", "write five cron fields"),
    )
)

BROKEN_RULES: tuple[Wrong, ...] = (*_BACKENDS, *_COOKIES, *_TIMES, *_PORTS, *_SCHEDULES)

# Specs at the edge of a rule, on the right side of it.
KEPT_RULES: dict[str, Spec] = {
    **{f"type-{kind}": {"backend": {"type": kind, name: {}}} for kind, name in MEMBERS.items()},
    "memory-without-member": {"backend": {"type": "Memory"}},
    "member-null": {"backend": {**BACKEND, "redis": None}},
    "host-prefix": {"backend": BACKEND, "cookie": {"name": "__Host-SESSION"}},
    "secure-prefix": {"backend": BACKEND, "cookie": {"name": "__Secure-SESSION", "path": "/shop"}},
    "prefix-inside": {"backend": BACKEND, "cookie": {"name": "x__Host-", "secure": False}},
    "same-site-none": {"backend": BACKEND, "cookie": {"sameSite": "None", "partitioned": True}},
    "plain-http": {"backend": BACKEND, "cookie": {"secure": False, "sameSite": "Strict"}},
    "grace-of-two-touches": {"backend": BACKEND, "scavenge": {"gracePeriod": "2m"}},
    "grace-without-touches": {
        "backend": BACKEND,
        "scavenge": {"gracePeriod": "0"},
        "sessions": {"touchPeriod": "0s"},
    },
    "an-hour-of-tombstones": {"backend": BACKEND, "purge": {"invalidAge": "60m"}},
    "ports-shifted": {
        "backend": BACKEND,
        "sidecar": {"port": 7071, "healthPort": 7072, "opsPort": 7070},
    },
    **{
        f"schedule-{schedule}": {"backend": BACKEND, "purge": {"schedule": schedule}}
        for schedule in (
            *("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"),
            "0 3 * * *",
            "*/15 0-6,22,23 1,15 jan-JUN MON-fri/2",
            "5/20 ?  31 12 0",
        )
    },
}
