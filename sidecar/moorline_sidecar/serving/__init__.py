"""The composition of a serving process: from its configuration to its end."""

from moorline_sidecar.serving.process import Listening, serve

__all__ = ["Listening", "serve"]
