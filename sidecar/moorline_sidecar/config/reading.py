"""Reads file, environment and options into one `Configuration`, or names every mistake at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from moorline_api import (
    BackendSpec,
    BackendType,
    ClusterIdentity,
    InvalidSpec,
    SecretKeyRef,
    SessionClusterSpec,
    SidecarSpec,
    decode,
    decode_spec,
)
from msgspec import Struct

from moorline_sidecar.config.addresses import Address, parse_address
from moorline_sidecar.config.document import parse_document
from moorline_sidecar.config.environment import shutdown_seconds_of, uri_of, worker_of
from moorline_sidecar.config.limits import Limits
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.config.settings import (
    Configuration,
    cookie_policy_of,
    policy_of,
    purge_settings_of,
)
from moorline_sidecar.errors import ConfigurationError

DEFAULT_FILE: Final = "/etc/moorline/cluster.json"
SOCKET: Final = "/run/moorline/moorline.sock"
_MEMBERS: Final = ("cluster", "spec", "limits")
_LOOPBACK: Final = "127.0.0.1"
HEALTH: Final = Address("", SidecarSpec().health_port)
"""All addresses, of both families: a kubelet probes from outside of the pod."""
_URI_KEYS: Final = ("uri", "connectionString.standardSrv", "connectionString.standard")
_REACHED_BY_URI: Final = (
    *(BackendType.MONGODB, BackendType.POSTGRESQL, BackendType.MYSQL, BackendType.REDIS),
    BackendType.INFINISPAN,
)
"""Those of which `stores.opening` asks for one; the others can do without."""

_NO_NAME: Final = {"name": "moorline"}
"""Of who gives none; it shows in metrics, and names the collection."""

_T = TypeVar("_T")


class Options(Struct, frozen=True, kw_only=True):
    """What the command line says; `serves` is false of `purge` and `check`: they are no workers."""

    config: str | None = None
    listen: str | None = None
    health: str | None = None
    ops: str | None = None
    is_dev: bool = False
    serves: bool = True


def read_configuration(
    options: Options, environ: Mapping[str, str], hostname: str, *, is_running: bool = False
) -> Configuration:
    """What the process is to run with.

    Where it `is_running` already, what only another environment could give is no mistake.

    Raises:
        ConfigurationError: with every mistake that can be found in one go.
    """
    return _Reading(options, environ, hostname, is_running=is_running).configuration()


def missing_file(path: Path, environ: Mapping[str, str]) -> str:
    """What to say of a configuration file that is not there; in Kubernetes, what to look for."""
    if not environ.get("KUBERNETES_SERVICE_HOST"):
        return f"{path}: there is no such file; name another by --config"
    cluster = environ.get("MOORLINE_CLUSTER") or "<SessionCluster>"
    return (
        f"{path}: there is no such file: the ConfigMap {cluster}-moorline, which the operator "
        "makes from the SessionCluster of this name, is not there or not mounted yet; look at "
        "`kubectl get sessioncluster,configmap` in this namespace"
    )


class _Reading:
    """One pass over everything, collecting mistakes."""

    def __init__(
        self, options: Options, environ: Mapping[str, str], hostname: str, *, is_running: bool
    ) -> None:
        self._options = options
        self._environ = environ
        self._hostname = hostname
        self._is_running = is_running
        self._mistakes: list[str] = []

    def configuration(self) -> Configuration:
        document = self._document()
        identity = self._model(
            lambda: decode(document.get("cluster") or _NO_NAME, ClusterIdentity, path="cluster")
        )
        limits = self._model(lambda: decode(document.get("limits") or {}, Limits, path="limits"))
        spec = self._model(
            lambda: decode_spec(
                document.get("spec"),
                require_backend=not self._options.is_dev,
                # The operator says whose pod this is, and its file is what the API server has:
                # after an upgrade, with fields that only a newer sidecar knows.
                allow_unknown=bool(self._environ.get("MOORLINE_CLUSTER")),
            )
        )
        worker = worker_of(
            self._environ, self._hostname, self._mistakes, is_required=self._options.serves
        )
        shutdown_seconds = shutdown_seconds_of(self._environ, self._mistakes)
        # With mistakes in the spec its defaults stand in, to find those that are elsewhere.
        usable = spec or decode_spec({}, require_backend=False)
        uri = self._uri(usable.backend, is_known=spec is not None)
        token = self._token(usable.sidecar)
        listen, health, ops = self._addresses(usable.sidecar)
        if self._mistakes or identity is None or limits is None or spec is None:
            raise ConfigurationError(self._mistakes)
        return Configuration(
            cluster=identity.name,
            namespace=identity.namespace,
            is_dev=self._options.is_dev,
            backend=spec.backend,
            uri=uri,
            policy=policy_of(spec, worker),
            cookies=cookie_policy_of(spec),
            purge=purge_settings_of(spec),
            limits=limits,
            default_context=spec.sidecar.default_context,
            listen=listen,
            health=health,
            ops=ops,
            socket=self._environ.get("MOORLINE_SOCKET") or SOCKET if spec.sidecar.socket else None,
            token=token,
            trace_ratio=spec.sidecar.trace_ratio,
            log_level=spec.sidecar.log_level.value,
            shutdown_seconds=shutdown_seconds,
            journal=self._environ.get("MOORLINE_JOURNAL") or None,
            otlp_endpoint=self._environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
            spec_hash=_hash(spec),
        )

    def _document(self) -> Mapping[str, Any]:
        path = Path(self._options.config or DEFAULT_FILE)
        if self._options.config is None and self._options.is_dev and not path.is_file():
            return {}
        try:
            document = parse_document(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigurationError([missing_file(path, self._environ)]) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigurationError([f"{path}: {reason}"]) from error
        if not isinstance(document, Mapping):
            raise ConfigurationError([f"{path}: write a mapping with {', '.join(_MEMBERS)}"])
        self._mistakes += [
            f"{key}: unknown field; here are {', '.join(_MEMBERS)}"
            for key in document
            if key not in _MEMBERS
        ]
        return document

    def _model(self, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except InvalidSpec as error:
            self._mistakes += [str(violation) for violation in error.violations]
            return None

    def _uri(self, backend: BackendSpec, *, is_known: bool) -> SecretText | SecretFile | None:
        member = getattr(backend, backend.type.member)
        reference: SecretKeyRef | None = getattr(member, "connection_secret_ref", None)
        keys = (reference.key,) if reference and reference.key else _URI_KEYS
        secret = reference.name if reference else ""
        uri = uri_of(self._environ, keys, secret, self._mistakes)
        emulator = self._environ.get("DATASTORE_EMULATOR_HOST")
        if uri is None and emulator and backend.type is BackendType.DATASTORE:
            return SecretText(f"datastore://{emulator}")
        is_needed = is_known and backend.type in _REACHED_BY_URI and not self._options.is_dev
        if uri is None and is_needed:
            self._mistakes.append(
                "MOORLINE_BACKEND_URI: required by spec.backend; give the URI, or the file that "
                "holds it as MOORLINE_BACKEND_URI_FILE"
            )
        return uri

    def _token(self, sidecar: SidecarSpec) -> SecretFile | None:
        """A file alone suffices: outside Kubernetes nobody has a Secret to refer to."""
        reference = sidecar.token_secret_ref
        path = self._environ.get("MOORLINE_TOKEN_FILE", "")
        if path:
            if reference is None:
                return SecretFile(path, ("token",))
            return SecretFile(path, (reference.key,), reference.name)
        if reference is None or not self._options.serves:
            return None
        if self._is_running:
            # A pod gets the variable with its next start; until then nothing else has to wait.
            return SecretFile("", (reference.key,), reference.name)
        self._mistakes.append(
            "MOORLINE_TOKEN_FILE: required by spec.sidecar.tokenSecretRef; give the file "
            "that holds the token, or the folder of the mounted Secret"
        )
        return None

    def _addresses(self, sidecar: SidecarSpec) -> tuple[Address, Address, Address]:
        options = self._options
        return (
            self._address("--listen", options.listen, Address(_LOOPBACK, sidecar.port)),
            self._address("--health", options.health, Address("", sidecar.health_port)),
            self._address("--ops", options.ops, Address(_LOOPBACK, sidecar.ops_port)),
        )

    def _address(self, option: str, text: str | None, default: Address) -> Address:
        try:
            return default if text is None else parse_address(text)
        except ValueError as error:
            self._mistakes.append(f"{option}: {error}")
            return default


def _hash(spec: SessionClusterSpec) -> str:
    """The same for the same spec, however it was written down."""
    return hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()[:16]
