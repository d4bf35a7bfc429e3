"""The words a SessionCluster chooses between, each with the risk of choosing it."""

from enum import StrEnum
from typing import Self


class Choice(StrEnum):
    """A closed set of words; `risk` is the sentence that the field reference prints beside one."""

    risk: str

    def __new__(cls, word: str, risk: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.risk = risk
        return member


class BackendType(Choice):
    """Where sessions are kept."""

    MONGODB = "MongoDB", "A write concern of 1 loses acknowledged changes when the primary changes."
    POSTGRESQL = "PostgreSQL", "Every touch leaves a dead row behind: autovacuum has to keep up."
    MYSQL = (
        "MySQL",
        "With relaxed flushing of its log, acknowledged changes can be lost in a crash.",
    )
    SQLITE = "SQLite", "One node only: the file is on one disk, and one writer at a time."
    REDIS = "Redis", "Its replication is asynchronous: a failover can lose acknowledged changes."
    INFINISPAN = "Infinispan", "Entries live in memory: durable only with a persistent cache store."
    HAZELCAST = "Hazelcast", "Entries live in memory: durable only as far as backups reach."
    DATASTORE = "Datastore", "Every access is billed, and one session takes few writes a second."
    FILE = "File", "The directory must be on one disk, or shared with working locks."
    MEMORY = "Memory", "Each sidecar has its own sessions, lost when it ends: for trying out only."

    @property
    def member(self) -> str:
        """The field of `spec.backend` that holds this type's settings."""
        return self.value.lower()


class L2Type(Choice):
    """What is asked between the cache in the sidecar and the backend."""

    MEMCACHED = "Memcached", "A network hop more on a miss; out of reach, it is passed over."


class SaveMode(Choice):
    """When a change is durable."""

    WRITE = "Write", "The slowest; what is acknowledged is never lost."
    COMPLETE = "Complete", "A crash loses the changes of requests that are not completed."
    PERIODIC = "Periodic", "A crash loses the changes of up to one `save.period`."
    SHUTDOWN = "Shutdown", "A crash loses every change since the session came into this cache."


class StoreIds(Choice):
    """What the key of a session is in the backend."""

    HASHED = "Hashed", "A session cannot be looked up by hand without hashing its id first."
    PLAIN = "Plain", "Whoever reads the database or a backup of it can take sessions over."


class OnShutdown(Choice):
    """What becomes of the sessions in a sidecar's cache when it stops."""

    PRESERVE = "Preserve", "None: other workers go on with them."
    INVALIDATE = "Invalidate", "Every rollout logs users out."


class OnOutage(Choice):
    """What becomes of changes while the backend is out of reach."""

    REFUSE = "Refuse", "Users see errors where they change something, until it is back."
    BUFFER = "Buffer", "Changes wait in the pod, and are lost if that is deleted before it is back."


class WhenReached(Choice):
    """What becomes of one session too many of a principal."""

    END_OLDEST = "EndOldest", "Who knows the password can log its owner out elsewhere."
    REFUSE = "Refuse", "A user with forgotten sessions cannot log in until one of them expires."


class SameSite(Choice):
    """Which requests from other sites carry the cookie (RFC 6265bis)."""

    STRICT = "Strict", "Who follows a link from another site arrives logged out."
    LAX = "Lax", "Top-level GET requests from other sites carry it: they must not change anything."
    NONE = "None", "Every site can make requests as the user: protect forms against forgery."


class HintPlacement(Choice):
    """Where the browser keeps the version it has seen and the worker that served it."""

    SEPARATE = "Separate", "A second cookie, which caches and consent banners have to know."
    SUFFIX = "Suffix", "No version: a request may read what is older than the answer before it."
    OFF = "Off", "As `Suffix`, and no load balancer can route to the worker that has the session."


class CacheMode(Choice):
    """Whether sidecars keep sessions in memory."""

    ENABLED = "Enabled", "Memory, bounded by `maxSessions` and `maxBytes`."
    DISABLED = "Disabled", "Every read goes to the backend; the save mode is then `Write`."


class Eviction(Choice):
    """When a session leaves the cache before the cache is full."""

    NEVER = "Never", "None: the bounds hold all the same."
    AFTER_REQUEST = "AfterRequest", "Every request loads its session again."
    AFTER_IDLE = "AfterIdle", "The first request after a pause loads its session again."


class Staleness(Choice):
    """When a cached session is served without asking the backend."""

    PUSHED = "Pushed", "While the change stream is down, it is as `Bounced`."
    BOUNCED = "Bounced", "Saves questions only where requests return to the same worker."
    PERIODIC = "Periodic", "Reads are up to `stalePeriod` old, logouts included."
    NEVER = "Never", "Never asks: without a hint, a change or logout elsewhere stays unseen."
    ALWAYS = "Always", "Always asks: each read costs a round trip to the backend."


class LogLevel(Choice):
    """The least serious log lines that are written."""

    DEBUG = "debug", "Several lines a request: it slows the sidecar down."
    INFO = "info", "None."
    WARNING = "warning", "Starts, reloads and purges leave no trace."
    ERROR = "error", "Trouble that repairs itself leaves no trace."
