"""Which processes of a node a hand takes hold of."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from e2e.suite.hand_in_pod import kubelets, of_group

UID = "0f3a6c1e-1111-4222-8333-444455556666"
OTHER = "9f3a6c1e-1111-4222-8333-444455556666"
CONTAINER = "c0ffee" * 10


@pytest.mark.parametrize(
    "group",
    [
        pytest.param(f"5:cpu:/moorline/kubepods/burstable/pod{UID}/{CONTAINER}", id="version-1"),
        pytest.param(f"0::/../../../besteffort/pod{UID}/{CONTAINER}", id="version-2-of-another"),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice"
            f"/cri-containerd-{CONTAINER}.scope",
            id="systemd",
        ),
    ],
)
def test_processes_are_found_by_pod_and_by_container(tmp_path: Path, group: str) -> None:
    a_process(tmp_path, 7, group=group)
    a_process(tmp_path, 12, group=group)
    a_process(tmp_path, 9, group=group.replace(UID, OTHER).replace(UID.replace("-", "_"), "x"))
    a_process(tmp_path, 3, group="0::/init.scope")

    assert of_group(UID, tmp_path) == [7, 12]
    assert set(of_group(CONTAINER, tmp_path)) >= {7, 12}
    assert 3 not in of_group(CONTAINER, tmp_path)


def test_a_process_that_ends_meanwhile_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()

    assert of_group(UID, tmp_path) == []
    assert kubelets(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        pytest.param(["/usr/bin/kubelet", "--config=a"], True, id="program"),
        pytest.param(["/cache/cluster", "kubelet", "--config=a"], True, id="first-argument"),
        pytest.param(["/cache/cluster", "kube-proxy", "kubelet"], False, id="later-argument"),
        pytest.param(["tail", "--follow", "/var/log/kubelet"], False, id="a-file-of-it"),
    ],
)
def test_a_kubelet_is_known_by_its_name(
    tmp_path: Path, command: list[str], *, is_one: bool
) -> None:
    a_process(tmp_path, 7, command=command)

    assert kubelets(tmp_path) == ([7] if is_one else [])


def a_process(folder: Path, pid: int, *, group: str = "0::/", command: Sequence[str] = ()) -> None:
    process = folder / str(pid)
    process.mkdir()
    (process / "cgroup").write_text(f"{group}\n")
    (process / "cmdline").write_bytes("\0".join([*command, ""]).encode())
