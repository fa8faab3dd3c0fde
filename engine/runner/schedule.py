"""
Which runs go together, and which may begin.

Runs of one namespace that need nothing more from outside are one job: the namespace is entered once.
"""

from __future__ import annotations

from collections.abc import Sequence

from nsctl.engine.runner.batch import Batch, Single

__all__ = ["Order", "jobs_of"]


def jobs_of(runs: Sequence[Batch]) -> list[list[int]]:
    """The runs' numbers, job by job, each job in order."""
    jobs: list[list[int]] = []
    needs: list[set[int]] = []
    latest: dict[str, int] = {}
    for n, run in enumerate(runs):
        together = run.netns is not None and not isinstance(run, Single)
        job = latest.get(run.netns or "") if together else None
        if job is not None and run.after <= needs[job]:
            jobs[job].append(n)
            needs[job].add(n)
            continue
        if together:
            latest[run.netns or ""] = len(jobs)
        jobs.append([n])
        needs.append({*run.after, n})
    return jobs


class Order:
    """
    Which jobs may begin.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: Sequence[Batch]) -> None:
        self.jobs = jobs_of(runs)
        job_of = {n: j for j, job in enumerate(self.jobs) for n in job}
        needs = [{job_of[m] for n in job for m in runs[n].after} - {j} for j, job in enumerate(self.jobs)]
        self._missing = [len(need) for need in needs]
        self._waiters: dict[int, list[int]] = {}
        # What is in a namespace goes first: it begins with plain writes, which want no `ip` beside them.
        self._rank = [runs[job[0]].netns is None for job in self.jobs]
        for j, need in enumerate(needs):
            for k in need:
                self._waiters.setdefault(k, []).append(j)

    def free(self) -> list[int]:
        """The jobs that need nothing."""
        return self._ranked([j for j, missing in enumerate(self._missing) if missing == 0])

    def over(self, job: int) -> list[int]:
        """A job is over: the jobs that waited for it alone."""
        freed = []
        for j in self._waiters.get(job, ()):
            self._missing[j] -= 1
            if self._missing[j] == 0:
                freed.append(j)
        return self._ranked(freed)

    def _ranked(self, jobs: list[int]) -> list[int]:
        return sorted(jobs, key=self._rank.__getitem__)
