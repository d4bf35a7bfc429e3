"""What the containers of the application get: variables that lead to the sidecar, and mounts.

The bearer token is given as a file and not as a variable: the sidecar follows a changed Secret
within a minute or two, and a variable would lock the application out until it is restarted.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from moorline_api.operations import SidecarSpec
from msgspec import Struct

from moorline_operator.injection.refusals import Refused

SOCKET_VOLUME: Final = "moorline-socket"
SOCKET_FOLDER: Final = "/run/moorline"
SOCKET: Final = f"{SOCKET_FOLDER}/moorline.sock"
TOKEN_VOLUME: Final = "moorline-token"  # noqa: S105 - a name
TOKEN_FOLDER: Final = "/run/moorline-token"  # noqa: S105 - a path
TOKEN_KEY: Final = "token"  # noqa: S105 - a name
TOKEN_FILE: Final = f"{TOKEN_FOLDER}/{TOKEN_KEY}"


class Offer(Struct, frozen=True):
    """Values of variables by name, and folders by the name of the volume."""

    variables: Mapping[str, str] = {}
    folders: Mapping[str, str] = {}


def offer_of(sidecar: SidecarSpec) -> Offer:
    """What the applications of a cluster get."""
    return _offer(
        sidecar.port,
        has_socket=sidecar.socket,
        has_token=sidecar.token_secret_ref is not None,
    )


def offer_by(container: Mapping[str, Any] | None, data_port: str) -> Offer:
    """What the applications beside an earlier sidecar got; nothing where there was none.

    `data_port` is the name of the port that `MOORLINE_URL` leads to.
    """
    if container is None:
        return Offer()
    ports = {port.get("name"): port["containerPort"] for port in container.get("ports") or ()}
    mounted = {mount["name"] for mount in container.get("volumeMounts") or ()}
    return _offer(
        ports.get(data_port, 0),
        has_socket=SOCKET_VOLUME in mounted,
        has_token=TOKEN_VOLUME in mounted,
    )


def _offer(port: int, *, has_socket: bool, has_token: bool) -> Offer:
    variables = {"MOORLINE_URL": f"http://127.0.0.1:{port}"}
    folders = {}
    if has_socket:
        variables["MOORLINE_SOCKET"] = SOCKET
        folders[SOCKET_VOLUME] = SOCKET_FOLDER
    if has_token:
        variables["MOORLINE_TOKEN_FILE"] = TOKEN_FILE
        folders[TOKEN_VOLUME] = TOKEN_FOLDER
    return Offer(variables, folders)


def given(container: Mapping[str, Any], offer: Offer, outdated: Offer) -> dict[str, Any]:
    """The container with the offer.

    What it says itself stays: a variable of its own wins. What came from an `outdated` offer
    is brought up to date where it stands.

    Raises:
        Refused: it has something else where the offer is mounted.
    """
    changed = {
        **container,
        "env": _variables(container.get("env") or (), offer, outdated),
        "volumeMounts": _mounts(container, offer, outdated),
    }
    # No empty list where there was none, or where all in it was ours.
    return {
        name: value
        for name, value in changed.items()
        if value or (name in container and not container[name])
    }


def _variables(
    env: Iterable[Mapping[str, Any]], offer: Offer, outdated: Offer
) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for variable in env:
        name = variable["name"]
        is_ours = name in outdated.variables and variable.get("value") == outdated.variables[name]
        if not is_ours:
            kept.append(dict(variable))
        elif name in offer.variables:
            kept.append({**variable, "value": offer.variables[name]})
    names = {variable["name"] for variable in kept}
    # First: $(MOORLINE_URL) is replaced only in variables that come later.
    return [
        {"name": name, "value": value}
        for name, value in offer.variables.items()
        if name not in names
    ] + kept


def _mounts(container: Mapping[str, Any], offer: Offer, outdated: Offer) -> list[dict[str, Any]]:
    kept = [
        dict(mount)
        for mount in container.get("volumeMounts") or ()
        if outdated.folders.get(mount["name"]) != mount["mountPath"]
    ]
    for mount in kept:
        if mount["mountPath"].rstrip("/") in offer.folders.values():
            raise Refused(
                f"container {container['name']} mounts volume {mount['name']} at "
                f"{mount['mountPath']}, which is Moorline's: mount it somewhere else"
            )
    return kept + [
        {"name": volume, "mountPath": folder, "readOnly": True}
        for volume, folder in offer.folders.items()
    ]
