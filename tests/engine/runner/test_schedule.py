from __future__ import annotations

from hypothesis import given

from nsctl.engine.model.plan import Step
from nsctl.engine.runner.batch import Single, Writes
from nsctl.engine.runner.batches import batches_of, do_items
from nsctl.engine.runner.ip_batch import IpBatch
from nsctl.engine.runner.schedule import Order, jobs_of
from tests.engine.runner.test_batches import dependent_steps


def test_runs_of_one_namespace_are_one_job_where_nothing_else_comes_between() -> None:
    host, write, batch = IpBatch(None), Writes("web", after={0}), IpBatch("web", after={0, 1})
    assert jobs_of([host, write, batch]) == [[0], [1, 2]]
    assert jobs_of([host, write, IpBatch("db", after={1})]) == [[0], [1], [2]]
    assert jobs_of([host, write, Single("web", after={1})]) == [[0], [1], [2]]
    assert jobs_of([host, write, IpBatch(None, after={1}), IpBatch("web", after={2})]) == [[0], [1], [2], [3]]


def test_what_is_in_a_namespace_goes_before_the_hosts_own() -> None:
    runs = [IpBatch(None), IpBatch(None, after={0}), Writes("web", after={0}), IpBatch("web", after={2})]
    order = Order(runs)
    assert order.free() == [0]
    assert [order.jobs[job] for job in order.over(0)] == [[2, 3], [1]]


@given(dependent_steps())
def test_every_run_is_in_one_job_and_all_jobs_come_to_be_free(steps: list[Step]) -> None:
    runs = batches_of(do_items(steps))
    order = Order(runs)
    over: list[int] = []
    ready = order.free()
    while ready:
        job = ready.pop()
        for run in order.jobs[job]:
            assert runs[run].after <= set(over)
            over.append(run)
        ready += order.over(job)
    assert sorted(over) == list(range(len(runs)))
