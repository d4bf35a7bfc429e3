"""The rules that span fields of a SessionCluster.

Each is written twice, side by side: in CEL for the API server, where it holds while the operator
is down, and in Python for the sidecar, whose configuration no API server has seen.
"""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from moorline_api.backends import BackendSpec
from moorline_api.choices import BackendType, SameSite
from moorline_api.durations import DURATION_PATTERN, duration_ns
from moorline_api.errors import Violation
from moorline_api.model import SessionClusterSpec
from moorline_api.schedules import SCHEDULE_PATTERN
from moorline_api.sessions import CookieSpec

_HOUR_NS: Final = duration_ns("1h")


class Rule(Struct, frozen=True, kw_only=True):
    """What must hold of every spec.

    `scope` is the node of the schema that carries the rule: CEL calls it `self`. `path` is the
    field to repair, at or below `scope`; `reads` are the fields it depends on, as paths.
    `holds` expects a spec whose single values are valid, and so does `cel`, with its defaults.
    `reason` is the API server's word for the kind of mistake.
    """

    scope: str
    path: str
    reads: tuple[str, ...]
    message: str
    cel: str
    holds: Callable[[SessionClusterSpec], bool]
    reason: str = "FieldValueInvalid"


def violations(spec: SessionClusterSpec) -> tuple[Violation, ...]:
    """Every rule that the spec breaks, in the order of `RULES`.

    Raises:
        InvalidDuration: a duration was never validated, because the spec was built by hand.
    """
    return tuple(Violation(rule.path, rule.message) for rule in RULES if not rule.holds(spec))


def _needs_its_member(kind: BackendType) -> Rule:
    def holds(spec: SessionClusterSpec) -> bool:
        return spec.backend.type is not kind or _has(spec.backend, kind)

    member = kind.member
    return Rule(
        scope="spec.backend",
        path=f"spec.backend.{member}",
        reads=("spec.backend.type", f"spec.backend.{member}"),
        message=f"type {kind} needs its member: write `{member}: {{}}` to take every default",
        cel=f"self.type != '{kind}' || has(self.{member})",
        holds=holds,
        reason="FieldValueRequired",
    )


def _allows_its_member_alone(kind: BackendType) -> Rule:
    def holds(spec: SessionClusterSpec) -> bool:
        return spec.backend.type is kind or not _has(spec.backend, kind)

    member = kind.member
    return Rule(
        scope="spec.backend",
        path=f"spec.backend.{member}",
        reads=("spec.backend.type", f"spec.backend.{member}"),
        message=f"only type {kind} has this member: remove it, or write `type: {kind}`",
        cel=f"self.type == '{kind}' || !has(self.{member})",
        holds=holds,
        reason="FieldValueForbidden",
    )


def _has(backend: BackendSpec, kind: BackendType) -> bool:
    return getattr(backend, kind.member) is not None


def _cookie_rule(
    field: str, message: str, cel: str, holds: Callable[[CookieSpec], bool], *, reads: str
) -> Rule:
    return Rule(
        scope="spec.cookie",
        path=f"spec.cookie.{field}",
        reads=(f"spec.cookie.{field}", f"spec.cookie.{reads}"),
        message=message,
        cel=_if_there(cel, reads, field),
        holds=lambda spec: holds(spec.cookie),
    )


def _if_there(cel: str, *fields: str) -> str:
    # A CRD's own defaults have to keep its rules, and `default: {}` is tried before the
    # defaults below it are filled in.
    return " || ".join((*(f"!has(self.{field})" for field in fields), cel))


def _if_durations(cel: str, *fields: str) -> str:
    # What is no duration would be an error in CEL, named beside the sentence that is about it.
    broken = (f"!self.{field}.matches(r'{DURATION_PATTERN}')" for field in fields)
    return " || ".join((cel, *broken))


def _has_prefix(cookie: CookieSpec, prefix: str) -> bool:
    # Browsers compare prefixes without regard to case (RFC 6265bis 5.4).
    return cookie.name.lower().startswith(prefix)


def _distinct_ports(spec: SessionClusterSpec) -> bool:
    return spec.sidecar.ops_port not in {spec.sidecar.port, spec.sidecar.health_port}


def _grace_outlasts_two_touches(spec: SessionClusterSpec) -> bool:
    touch_ns = duration_ns(spec.sessions.touch_period)
    return duration_ns(spec.scavenge.grace_period) >= 2 * touch_ns


_BACKEND_RULES: Final = (
    *(_needs_its_member(kind) for kind in BackendType if kind is not BackendType.MEMORY),
    *(_allows_its_member_alone(kind) for kind in BackendType),
)
_COOKIE_RULES: Final = (
    _cookie_rule(
        "secure",
        "a cookie named __Host-… must be secure: write `secure: true`, or another name",
        "!self.name.lowerAscii().startsWith('__host-') || self.secure",
        lambda cookie: not _has_prefix(cookie, "__host-") or cookie.secure,
        reads="name",
    ),
    _cookie_rule(
        "path",
        "a cookie named __Host-… is for the whole host: write `path: /`, or another name",
        "!self.name.lowerAscii().startsWith('__host-') || self.path == '/'",
        lambda cookie: not _has_prefix(cookie, "__host-") or cookie.path == "/",
        reads="name",
    ),
    _cookie_rule(
        "domain",
        'a cookie named __Host-… has no domain: write `domain: ""`, or another name',
        "!self.name.lowerAscii().startsWith('__host-') || self.domain == ''",
        lambda cookie: not _has_prefix(cookie, "__host-") or not cookie.domain,
        reads="name",
    ),
    _cookie_rule(
        "secure",
        "a cookie named __Secure-… must be secure: write `secure: true`, or another name",
        "!self.name.lowerAscii().startsWith('__secure-') || self.secure",
        lambda cookie: not _has_prefix(cookie, "__secure-") or cookie.secure,
        reads="name",
    ),
    _cookie_rule(
        "secure",
        "browsers drop sameSite None without secure: write `secure: true`, or `sameSite: Lax`",
        "self.sameSite != 'None' || self.secure",
        lambda cookie: cookie.same_site is not SameSite.NONE or cookie.secure,
        reads="sameSite",
    ),
    _cookie_rule(
        "secure",
        "browsers drop partitioned cookies without secure: write `secure: true`, or "
        "`partitioned: false`",
        "!self.partitioned || self.secure",
        lambda cookie: not cookie.partitioned or cookie.secure,
        reads="partitioned",
    ),
)

RULES: Final[tuple[Rule, ...]] = (
    *_BACKEND_RULES,
    *_COOKIE_RULES,
    Rule(
        scope="spec",
        path="spec.scavenge.gracePeriod",
        reads=("spec.scavenge.gracePeriod", "spec.sessions.touchPeriod"),
        message="sessions in use elsewhere would be ended: write at least twice "
        "sessions.touchPeriod, or shorten that",
        cel=_if_durations(
            "duration(self.scavenge.gracePeriod) >= "
            "duration(self.sessions.touchPeriod) + duration(self.sessions.touchPeriod)",
            *("scavenge.gracePeriod", "sessions.touchPeriod"),
        ),
        holds=_grace_outlasts_two_touches,
    ),
    Rule(
        scope="spec.purge",
        path="spec.purge.schedule",
        reads=("spec.purge.schedule",),
        message="`@every` has nothing to count from: write @hourly, @daily, …, or five cron "
        'fields, such as "0 */6 * * *"',
        cel=_if_there("!self.schedule.startsWith('@every')", "schedule"),
        holds=lambda spec: not spec.purge.schedule.startswith("@every"),
    ),
    Rule(
        scope="spec.purge",
        path="spec.purge.schedule",
        reads=("spec.purge.schedule",),
        message="leave `TZ=` out of the schedule, and write the zone as `timeZone`",
        cel=_if_there("!self.schedule.contains('TZ=')", "schedule"),
        holds=lambda spec: "TZ=" not in spec.purge.schedule,
    ),
    Rule(
        scope="spec.purge",
        path="spec.purge.schedule",
        reads=("spec.purge.schedule",),
        message='write five cron fields, such as "30 3 * * *", or one of @hourly, @daily, '
        "@midnight, @weekly, @monthly, @yearly, @annually",
        cel=_if_there(
            "self.schedule.startsWith('@every') || self.schedule.contains('TZ=') || "
            f"self.schedule.matches(r'{SCHEDULE_PATTERN}')",
            "schedule",
        ),
        holds=lambda spec: (
            spec.purge.schedule.startswith("@every")
            or "TZ=" in spec.purge.schedule
            or re.fullmatch(SCHEDULE_PATTERN, spec.purge.schedule) is not None
        ),
    ),
    Rule(
        scope="spec.purge",
        path="spec.purge.invalidAge",
        reads=("spec.purge.invalidAge",),
        message='late writes must still find the tombstone: write at least "1h"',
        cel=_if_there(
            _if_durations("duration(self.invalidAge) >= duration('1h')", "invalidAge"),
            "invalidAge",
        ),
        holds=lambda spec: duration_ns(spec.purge.invalid_age) >= _HOUR_NS,
    ),
    Rule(
        scope="spec.sidecar",
        path="spec.sidecar.healthPort",
        reads=("spec.sidecar.port", "spec.sidecar.healthPort"),
        message="every listener has its own port: write another than that of `port`",
        cel=_if_there("self.healthPort != self.port", "port", "healthPort"),
        holds=lambda spec: spec.sidecar.health_port != spec.sidecar.port,
    ),
    Rule(
        scope="spec.sidecar",
        path="spec.sidecar.opsPort",
        reads=("spec.sidecar.port", "spec.sidecar.healthPort", "spec.sidecar.opsPort"),
        message="every listener has its own port: write another than those of `port` and "
        "`healthPort`",
        cel=_if_there(
            "self.opsPort != self.port && self.opsPort != self.healthPort",
            *("port", "healthPort", "opsPort"),
        ),
        holds=_distinct_ports,
    ),
)
