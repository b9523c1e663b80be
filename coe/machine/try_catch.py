"""`try`: which errors are caught, whether and when to retry, and what follows."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.durations import Duration
from coe.language.model.components import AttemptLimit, Backoff, RetryLimit, RetryPolicy
from coe.language.model.task_types import TryTask
from coe.machine.commands import Phase, TimerReason
from coe.machine.data import DEFINITION, ExpressionSite
from coe.machine.errors import ErrorHandler, TaskFault, error_matches
from coe.machine.interpreter import Done, Interpreter
from coe.machine.scope import Frame
from coe.machine.tasks import declared, execute_list, typed, with_deadline

# A delay does not grow beyond this; one that is longer from the start keeps its length.
MAX_GROWN_DELAY: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Retry:
    """Retry `after` a delay plus up to `spread`; the retry may take `limit`, if not None."""

    after: timedelta
    spread: timedelta
    limit: timedelta | None = None


@dataclass(frozen=True, slots=True)
class _Catch:
    """Execute `catch.do`; without it, continue as if no error had occurred."""

    error: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class _Fail:
    """The clause itself failed: its own error is raised."""

    fault: TaskFault


class _Attempt:
    """The handler of one execution of a `try`: decides whether to retry, catch or fail.

    The decision is made before anything inside is cancelled, so that an error that will not be
    caught leaves the faulted step as it is, for a retry of the run.
    """

    def __init__(self, run: Interpreter, frame: Frame, number: int, since: datetime) -> None:
        self.outer: ErrorHandler | None = frame.scope.handler
        self.decision: _Retry | _Catch | _Fail | None = None
        self._run = run
        self._frame = frame
        self._catch = typed(frame, TryTask).catch
        self.number = number
        self._since = since

    async def accepts(self, error: dict[str, JSON]) -> bool:
        """Whether the clause catches the error, and retries or handles it."""
        try:
            self.decision = await self._decide(error)
        except TaskFault as fault:
            self.decision = _Fail(fault)
        return self.decision is not None

    async def _decide(self, error: dict[str, JSON]) -> _Retry | _Catch | None:
        catch = self._catch
        if catch.errors is not None and catch.errors.with_ is not None:
            wanted = catch.errors.with_.model_dump(exclude_unset=True)
            if not error_matches(error, wanted):
                self._on_branch(outcomes.UNCAUGHT)
                return None
        if not await self._passes(catch.when, catch.except_when, error):
            self._on_branch(outcomes.UNCAUGHT)
            return None
        policy = declared(self._frame.pointer, lambda: self._run.definition.retry_of(catch))
        if policy is None:
            self._on_branch(outcomes.CAUGHT)
            return _Catch(error)
        retry = await self._next_retry(policy, error)
        if retry is None and (catch.do is not None or catch.then is not None):
            return _Catch(error)
        return retry

    async def _passes(
        self, when: str | None, except_when: str | None, error: dict[str, JSON]
    ) -> bool:
        site, data = self._site(error), self._frame.input
        if when is not None and not await self._run.data.holds(when, data, site):
            return False
        return except_when is None or not await self._run.data.holds(except_when, data, site)

    def _site(self, error: dict[str, JSON]) -> ExpressionSite:
        scope = self._frame.inside(variables={self._catch.as_: error})
        return ExpressionSite(DEFINITION, frame=self._frame, scope=scope)

    async def _next_retry(self, policy: RetryPolicy, error: dict[str, JSON]) -> _Retry | None:
        """The next retry; None when the policy allows no more."""
        limit = policy.limit or RetryLimit()
        attempts = limit.attempt or AttemptLimit()
        if self.number > min(_count(attempts), self._run.max_visits - 1):
            self._on_branch(outcomes.SPENT)
            return None
        if not await self._passes(policy.when, policy.except_when, error):
            self._on_branch(outcomes.UNRETRIED)
            return None
        site = self._site(error)
        retry = await self._delay(policy, site)
        if limit.duration is not None:
            total = await self._length(limit.duration, site)
            if self._run.now - self._since + retry.after > total:
                self._on_branch(outcomes.SPENT)
                return None
        if attempts.duration is not None:
            retry = replace(retry, limit=await self._length(attempts.duration, site))
        self._on_branch(outcomes.RETRIED)
        return retry

    def _on_branch(self, outcome: str) -> None:
        self._run.on_branch(self._frame, outcome)

    async def _delay(self, policy: RetryPolicy, site: ExpressionSite) -> _Retry:
        base = _grown(await self._length(policy.delay, site), policy.backoff, self.number)
        if policy.jitter is None:
            return _Retry(base, timedelta())
        least = await self._length(policy.jitter.from_, site)
        most = await self._length(policy.jitter.to, site)
        return _Retry(base + least, max(most - least, timedelta()))

    async def _length(self, duration: Duration | None, site: ExpressionSite) -> timedelta:
        if duration is None:
            return timedelta()
        return await self._run.data.duration(duration, self._frame.input, site)


def _count(limit: AttemptLimit) -> int:
    return sys.maxsize if limit.count is None else limit.count


def _grown(delay: timedelta, backoff: Backoff | None, n: int) -> timedelta:
    """The delay before retry n: constant d, linear d·n, exponential d·2^(n-1); it has a maximum."""
    factor = 1.0
    if backoff is not None and backoff.linear is not None:
        factor = float(n)
    elif backoff is not None and backoff.exponential is not None:
        factor = 2.0 ** min(n - 1, 100)
    most = max(delay, MAX_GROWN_DELAY)
    return timedelta(seconds=min(delay.total_seconds() * factor, most.total_seconds()))


async def run_try(run: Interpreter, frame: Frame) -> Done:
    """Run tasks, with retries as the policy allows, and catch the final error."""
    since, number = run.now, 0
    limit: timedelta | None = None
    while True:
        number += 1
        attempt = _Attempt(run, frame, number, since)
        try:
            output = await _tried(run, frame, attempt, limit)
        except TaskFault as fault:
            if fault.target is not attempt:
                raise
        else:
            run.on_branch(frame, outcomes.SUCCEEDS)
            return Done(output)
        match attempt.decision:
            case _Retry() as retry:
                await _pause(run, frame, number, retry)
                limit = retry.limit
            case _Catch(error):
                return await _caught(run, frame, error)
            case _Fail(own):
                raise own


async def _tried(
    run: Interpreter, frame: Frame, attempt: _Attempt, limit: timedelta | None
) -> JSON:
    """Execute the tasks once, within the time that the policy gives to a retry."""
    task = typed(frame, TryTask)
    scope = frame.inside(handler=attempt, attempt=attempt.number)
    work = partial(execute_list, run, task.try_, scope, frame.input)
    if limit is None:
        return await work()
    label = ("attempt", attempt.number)
    output: JSON = await with_deadline(run, frame, work, limit, label=label, handler=attempt)
    return output


async def _pause(run: Interpreter, frame: Frame, number: int, retry: _Retry) -> None:
    if not retry.after and not retry.spread:
        return
    key = frame.subkey("retry", number)
    timer = run.timer(frame, key, TimerReason.RETRY, retry.after, retry.spread)
    await run.perform(frame, timer, Phase.RETRY)


async def _caught(run: Interpreter, frame: Frame, error: dict[str, JSON]) -> Done:
    catch = typed(frame, TryTask).catch
    if catch.do is None:
        return Done(frame.input, catch.then)
    scope = frame.inside(variables={catch.as_: error})
    return Done(await execute_list(run, catch.do, scope, frame.input), catch.then)
