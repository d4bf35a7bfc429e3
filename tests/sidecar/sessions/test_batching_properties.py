"""A batcher, whatever is submitted, answered, failed and given up in whatever order."""

import asyncio
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.sessions.batching import BATCH_MAX, Batcher

from tests.sidecar.sessions.slow_calls import Call, SlowCalls, let_run

IN_FLIGHT_MAX: Final = 2

# What happens next: one of these verbs, to one of those that it can happen to.
steps = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "alone", "succeed", "fail", "leave", "refuse"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


class Submission:
    """One submission, and the calls that had been made before it.

    Its result begins with its key; with its whole item where it was submitted alone.
    """

    def __init__(self, item: str, task: asyncio.Task[str], calls_before: int) -> None:
        self.item = item
        self.task = task
        self.calls_before = calls_before


class Run:
    def __init__(self) -> None:
        self.calls = SlowCalls()
        self.batcher: Batcher[str, str] = Batcher(
            self.calls.work, self.calls.spawn, in_flight_max=IN_FLIGHT_MAX
        )
        self.submissions: list[Submission] = []
        self.left: set[asyncio.Task[str]] = set()

    async def step(self, verb: str, which: int) -> None:
        under_way = self.calls.under_way
        waiting = [each for each in self.submissions if not each.task.done()]
        match verb:
            case "submit":
                self._submit(f"k{which}", f"k{which}")
            case "alone":
                self._submit(f"k{which}", f"k{which}-{len(self.submissions)}")
            case "refuse":
                self.batcher.refuse_waiting(OSError("no"))
            case "succeed" if under_way:
                self._succeed(under_way[which % len(under_way)])
            case "fail" if under_way:
                under_way[which % len(under_way)].fail(OSError("no"))
            case "leave" if waiting:
                self._leave(waiting[which % len(waiting)])
        await let_run()
        self.check()

    async def finish(self) -> None:
        while under_way := self.calls.under_way:
            for call in under_way:
                self._succeed(call)
            await let_run()

    def check(self) -> None:
        under_way = self.calls.under_way
        keys = [item.partition("-")[0] for call in under_way for item in call.items]
        assert len(keys) == len(set(keys)), "a key is in flight twice"
        assert len(under_way) <= IN_FLIGHT_MAX
        assert all(0 < len(call.items) <= BATCH_MAX for call in self.calls.made)

    def check_answers(self) -> None:
        for each in self.submissions:
            assert each.task.done()
            if each.task in self.left:
                assert each.task.cancelled()
            elif each.task.exception() is None:
                item, number = each.task.result().split("#")
                is_alone = "-" in each.item
                assert (item if is_alone else item.partition("-")[0]) == each.item
                assert int(number) >= each.calls_before, "the answer is older than the question"
            else:
                assert isinstance(each.task.exception(), OSError)

    def _submit(self, key: str, item: str) -> None:
        submit = self.batcher.submit if key == item else self.batcher.submit_alone
        task = asyncio.create_task(submit(key, item))
        self.submissions.append(Submission(item, task, len(self.calls.made)))

    def _succeed(self, call: Call) -> None:
        call.succeed(f"#{self.calls.made.index(call)}")

    def _leave(self, submission: Submission) -> None:
        submission.task.cancel()
        self.left.add(submission.task)


@given(steps)
async def test_everyone_gets_an_answer_to_a_question_that_was_asked_for_them(
    script: list[tuple[str, int]],
) -> None:
    run = Run()
    for verb, which in script:
        await run.step(verb, which)
    await run.finish()

    run.check_answers()
    assert all(task.done() and task.exception() is None for task in run.calls.tasks)
