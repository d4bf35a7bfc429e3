"""Configuration: a file, the environment and the command line, read once and frozen."""

from moorline_sidecar.config.addresses import Address, parse_address
from moorline_sidecar.config.limits import Limits
from moorline_sidecar.config.reading import Options, read_configuration
from moorline_sidecar.config.reload import reloadable
from moorline_sidecar.config.secrets import SecretFile, SecretText, Token
from moorline_sidecar.config.settings import Configuration, PurgeSettings

__all__ = [
    "Address",
    "Configuration",
    "Limits",
    "Options",
    "PurgeSettings",
    "SecretFile",
    "SecretText",
    "Token",
    "parse_address",
    "read_configuration",
    "reloadable",
]
