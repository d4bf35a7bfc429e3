"""The single values of a spec: what each is called, what it looks like, and how long it may be.

A title and examples are what the message about a wrong value tells to write. Patterns are
written in what Python and the RE2 of the API server share, start with `^` and end with `$`.
`extra` is for decoding: `parse` refuses what a pattern cannot, `secret` keeps a value out of
messages.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from moorline_api.durations import DURATION_MAX_LENGTH, DURATION_PATTERN, duration_ns
from moorline_api.quantities import QUANTITY_MAX_LENGTH, SIZE_PATTERN, size_bytes

# Kubernetes' `Quantity`, as controller-gen writes it, without a sign.
_QUANTITY: Final = (
    r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))?$"
)
_DNS_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST_LABEL: Final = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"

Duration: TypeAlias = Annotated[
    str,
    Meta(
        title="a duration",
        examples=["90s", "30m", "168h"],
        pattern=DURATION_PATTERN,
        max_length=DURATION_MAX_LENGTH,
        extra={"parse": duration_ns},
    ),
]
Size: TypeAlias = Annotated[
    Annotated[int, Meta(ge=1, le=2**63 - 1)]
    | Annotated[str, Meta(pattern=SIZE_PATTERN, max_length=QUANTITY_MAX_LENGTH)],
    Meta(title="a size in bytes", examples=["1Mi", 1048576], extra={"parse": size_bytes}),
]
Quantity: TypeAlias = Annotated[
    Annotated[int, Meta(ge=0, le=2**63 - 1)]
    | Annotated[str, Meta(pattern=_QUANTITY, max_length=QUANTITY_MAX_LENGTH)],
    Meta(title="a quantity of Kubernetes", examples=["250m", "128Mi", 1]),
]
# A replica set has at most 50 members; 0 would acknowledge what nobody has.
WriteConcern: TypeAlias = Annotated[
    Annotated[int, Meta(ge=1, le=50)]
    | Annotated[str, Meta(pattern="^(majority|[1-9]|[1-4][0-9]|50)$", max_length=8)],
    Meta(title="majority or the number of members, at least 1", examples=["majority", 2]),
]

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
# The most that an `int32` of the Kubernetes API holds.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
PositiveCount: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Ratio: TypeAlias = Annotated[float, Meta(ge=0, le=1)]

# With `-moorline-purge` behind it, a name stays within the 52 characters of a CronJob's.
ClusterName: TypeAlias = Annotated[
    str,
    Meta(
        title="lower-case letters, digits and dashes, beginning with a letter",
        examples=["shop"],
        pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$",
        max_length=35,
    ),
]
Namespace: TypeAlias = Annotated[
    str,
    Meta(
        title="the name of a namespace",
        examples=["web"],
        pattern=f"^{_DNS_LABEL}$",
        max_length=63,
    ),
]
SecretName: TypeAlias = Annotated[
    str,
    Meta(
        title="the name of a Secret in the same namespace",
        examples=["shop-mongodb"],
        pattern=rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$",
        max_length=253,
        extra={"secret": True},
    ),
]
SecretKey: TypeAlias = Annotated[
    str,
    Meta(
        title="a key in the Secret",
        examples=["uri"],
        pattern="^[-._a-zA-Z0-9]+$",
        max_length=253,
        extra={"secret": True},
    ),
]

# What MongoDB takes on every platform; an empty collection stands for the SessionCluster's name.
DatabaseName: TypeAlias = Annotated[
    str,
    Meta(
        title="a database's name of letters, digits, _ and -",
        examples=["sessions"],
        pattern="^[A-Za-z0-9_-]+$",
        max_length=63,
    ),
]
CollectionName: TypeAlias = Annotated[
    str,
    Meta(
        title="a collection's name of letters, digits, _, - and .",
        examples=["shop"],
        pattern=r"^([A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*)?$",
        max_length=120,
    ),
]
# Quoted where they must be; 63 is PostgreSQL's limit, the shortest. Those of the other tables and
# of the indexes begin with that of the table.
TableName: TypeAlias = Annotated[
    str,
    Meta(
        title="a table's name of letters, digits and _",
        examples=["moorline_sessions", "JettySessions"],
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=48,
    ),
]
# Quoted where they must be, so that those of an existing table will do.
ColumnName: TypeAlias = Annotated[
    str,
    Meta(
        title="a column's name of letters, digits and _",
        examples=["last_accessed", "lastAccessTime"],
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=63,
    ),
]
# Names of caches, maps, kinds and key prefixes in stores that take nearly anything.
StoreName: TypeAlias = Annotated[
    str,
    Meta(
        title="a name of letters, digits and . _ : -",
        examples=["sessions"],
        pattern="^[A-Za-z0-9._:-]+$",
        max_length=120,
    ),
]
ServerAddress: TypeAlias = Annotated[
    str,
    Meta(
        title="a server as host:port",
        examples=["memcached:11211"],
        pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
        max_length=260,
    ),
]
FilePath: TypeAlias = Annotated[
    str,
    Meta(
        title="an absolute path",
        examples=["/var/lib/moorline/sessions"],
        pattern="^/[ -~]*$",
        max_length=1024,
    ),
]

# RFC 6265 4.1.1: a token.
CookieName: TypeAlias = Annotated[
    str,
    Meta(
        title="a cookie name (an HTTP token)",
        examples=["SESSION", "__Host-SESSION"],
        pattern="^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        max_length=64,
    ),
]
# RFC 6265 4.1.2.4, without spaces: nothing that could end the attribute or the header.
CookiePath: TypeAlias = Annotated[
    str,
    Meta(
        title="a path of visible ASCII characters other than ;",
        examples=["/", "/shop"],
        pattern="^/[!-:<-~]*$",
        max_length=1024,
    ),
]
CookieDomain: TypeAlias = Annotated[
    str,
    Meta(
        title="a domain name, or an empty text for the host alone",
        examples=["example.com", ""],
        pattern=rf"^(\.?{_HOST_LABEL}(\.{_HOST_LABEL})*)?$",
        max_length=253,
    ),
]
ContextPath: TypeAlias = Annotated[
    str,
    Meta(
        title="a context path of visible ASCII characters",
        examples=["/", "/shop"],
        pattern="^/[!-~]*$",
        max_length=128,
    ),
]

# The grammar of a schedule is a rule, for a pattern could not say what to write instead.
Schedule: TypeAlias = Annotated[
    str,
    Meta(
        title="a schedule of five cron fields, or a name for one",
        examples=["@daily", "30 3 * * *"],
        max_length=128,
    ),
]
TimeZone: TypeAlias = Annotated[
    str,
    Meta(
        title="a time zone of the IANA database",
        examples=["Etc/UTC", "Europe/Berlin"],
        pattern="^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$",
        max_length=64,
    ),
]
# Routes of Jetty, NGINX and Apache take these characters and no other; the number comes on top.
WorkerPrefix: TypeAlias = Annotated[
    str,
    Meta(
        title="a short prefix of lower-case letters and digits",
        examples=["node"],
        pattern="^[a-z0-9]+$",
        max_length=16,
    ),
]
ImageReference: TypeAlias = Annotated[
    str,
    Meta(
        title="an image reference, or an empty text for the operator's own",
        examples=["registry.example.com/moorline-sidecar:1.2.3", ""],
        pattern="^[!-~]*$",
        max_length=512,
    ),
]
