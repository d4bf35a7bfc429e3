"""Logs, metrics and traces; the only place where the names of metrics and spans are.

OpenTelemetry takes long to import, so its users are imported by whoever needs them:
`telemetry.metrics`, `telemetry.tracing`.
"""

from moorline_sidecar.telemetry.logs import LogSettings, configure_logs, short_hash

__all__ = ["LogSettings", "configure_logs", "short_hash"]
