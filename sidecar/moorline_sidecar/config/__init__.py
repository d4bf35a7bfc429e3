"""Configuration: a file, the environment and the command line, frozen, and followed."""

from moorline_sidecar.config.addresses import Address, parse_address
from moorline_sidecar.config.limits import Limits
from moorline_sidecar.config.reading import Options, read_configuration
from moorline_sidecar.config.reload import reloadable
from moorline_sidecar.config.secrets import SecretFile, SecretText, Token
from moorline_sidecar.config.settings import Configuration, PurgeSettings
from moorline_sidecar.config.source import ConfigurationSource
from moorline_sidecar.config.watching import Watch

__all__ = [
    "Address",
    "Configuration",
    "ConfigurationSource",
    "Limits",
    "Options",
    "PurgeSettings",
    "SecretFile",
    "SecretText",
    "Token",
    "Watch",
    "parse_address",
    "read_configuration",
    "reloadable",
]
