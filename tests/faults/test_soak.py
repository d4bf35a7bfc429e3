import pytest

from tests.faults.soak import Sample, growth

MIB = 1 << 20


def samples(memory: list[int], tasks: list[int]) -> list[Sample]:
    return [
        Sample("node0", at, {"memory": size * MIB, "descriptors": 20, "tasks": count})
        for at, (size, count) in enumerate(zip(memory, tasks, strict=True))
    ]


@pytest.mark.parametrize(
    ("memory", "tasks", "grown"),
    [
        pytest.param([40, 60, 60, 61, 61, 60], [9] * 6, [], id="warm, then flat"),
        pytest.param([40, 60, 60, 60, 70, 80], [9] * 6, ["memory"], id="memory leaks"),
        pytest.param([60] * 6, [9, 9, 9, 12, 40, 90], ["tasks"], id="tasks are left behind"),
        pytest.param([60] * 6, [9, 9, 12, 9, 13, 12], [], id="tasks come and go"),
    ],
)
def test_growth_is_told_by_its_name(memory: list[int], tasks: list[int], grown: list[str]) -> None:
    lines = growth(samples(memory, tasks), "node0")
    assert [line.split()[1] for line in lines] == grown


def test_a_worker_of_which_nothing_was_seen_is_not_called_flat() -> None:
    assert growth([], "node0") == ["node0: too short to tell"]
