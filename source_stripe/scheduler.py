"""Who sends what when: the requests of all streams, over a few workers, at Stripe's pace."""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from source_stripe.clock import Clock
from source_stripe.errors import StripeError
from source_stripe.pace import Departure
from source_stripe.requester import Answer, Request, StripeRequester

_TIME_TO_END = 2.0
# So many answers are taken apart at a time. More would take more memory and no less time: Python runs one thread at a time.
_MOST_HANDLED = 2
# While so many answers, or bytes of them, wait for that, or for a reader that is slow, nothing more is asked for.
_MOST_UNHANDLED = 24
_MOST_BYTES_UNHANDLED = 8 << 20
_LONG = 0.8


class Owner(ABC):
    """Whose work it is. It has ended when none of its work is left, or when one piece failed and the rest was dropped."""

    def __init__(self) -> None:
        self.left = 0
        """Its tasks, and what it was told to wait for."""
        self.running = 0
        """Its tasks that are under way."""
        self.has_ended = False
        self.error: Exception | None = None
        self.children: list[Owner] = []
        """Owners whose work is part of this one's: they fail with it."""

    @abstractmethod
    def ended(self) -> None:
        """Nothing is left under way or queued; `error` says whether it went well. Called once, with the lock held."""


@dataclass(eq=False)
class Task:
    """A request and what its answer is for.

    `handle` is called by a worker, without the lock; a `StripeError` that it raises counts like one of the request.
    `refused` may take an error that is not worth another try, and then returns true. It is called with the lock held.
    """

    owner: Owner
    request: Request
    handle: Callable[[Answer], None]
    refused: Callable[[StripeError], bool] | None = None
    tries: int = 0
    failing_since: float = 0.0
    not_before: float = 0.0
    departure: Departure | None = None


@dataclass(slots=True)
class _Trip:
    """Tells the pace when a request has gone out, and when it is answered."""

    departure: Departure
    clock: Clock

    def has_left(self) -> None:
        self.departure.has_left(self.clock.monotonic())

    def is_answered(self) -> None:
        self.departure.is_answered(self.clock.monotonic())


class Splitter(Protocol):
    """Work that can be cut in two when the pace allows more requests than there are tasks. Called with the lock held."""

    @property
    def endpoint(self) -> str: ...

    @property
    def left(self) -> float:
        """About how many requests it has to go, infinity when that can't be told yet."""

    def split(self) -> Task | None:
        """One more task, or none."""


class Scheduler:
    """Runs tasks on at most `workers` threads, which start as they are needed.

    A request that failed waits its pause in the queue, not in a worker. Where an endpoint's pace would allow a request and
    none is queued, its work is asked to be split. The endpoint with most to go is served first, so that all end together:
    the limit of one endpoint is lower than that of the account.
    """

    def __init__(self, requester: StripeRequester, clock: Clock, workers: int) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.pace = requester.pace()
        self.requests = 0
        self.defect: BaseException | None = None
        self._requester = requester
        self._wake = threading.Condition(self.lock)
        self._handling = threading.Semaphore(_MOST_HANDLED)
        self._ready: dict[str, deque[Task]] = {}
        self._paused: list[Task] = []
        self._splitters: list[Splitter] = []
        self._most_threads = workers
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._unhandled = 0
        self._unhandled_bytes = 0
        self._watched: list[float] = []
        self._stopped = False
        self._skew: float | None = None

    def stripe_now(self) -> int:
        """The time of day at Stripe, in epoch seconds, as its first answer told it; this machine's before that."""
        return int(self.clock.now() + (self._skew or 0.0))

    # ------------------------------------------------------------------ for owners; the lock is held

    def add(self, *tasks: Task, first: bool = False) -> None:
        """Queue `tasks`, `first` before others of their endpoint. Those of an owner that failed are dropped."""
        for task in tasks:
            if task.owner.error is None:
                queue = self._ready.setdefault(task.request.endpoint, deque())
                (queue.appendleft if first else queue.append)(task)
                task.owner.left += 1
        for _ in tasks:
            self._start_worker()
        self._wake.notify(len(tasks))

    def hold(self, owner: Owner) -> None:
        """Keep `owner` from ending until `release`: something is still to come that is no task yet."""
        owner.left += 1

    def release(self, owner: Owner) -> None:
        owner.left -= 1
        self._end_if_over(owner)

    def _end_if_over(self, owner: Owner) -> None:
        """What failed waits for nothing but what is under way."""
        is_failing = owner.error is not None
        if owner.running if is_failing else owner.left:
            return
        if not owner.has_ended and not (is_failing and any(not child.has_ended for child in owner.children)):
            owner.has_ended = True
            owner.ended()

    def fail(self, owner: Owner, error: Exception) -> None:
        """Drop what `owner` has queued; it ends as failed when what is under way has come back."""
        if owner.error is not None:
            return
        owner.error = error
        for queue in (*self._ready.values(), self._paused):
            kept = [task for task in queue if task.owner is not owner]
            owner.left -= len(queue) - len(kept)
            queue.clear()
            queue.extend(kept)
        for child in owner.children:
            self.fail(child, error)
        self._end_if_over(owner)

    def add_splitter(self, splitter: Splitter) -> None:
        self._splitters.append(splitter)

    def remove_splitter(self, splitter: Splitter) -> None:
        self._splitters.remove(splitter)

    def stop(self) -> None:
        """End the workers. One whose answer does not come is left behind: it is a daemon."""
        with self.lock:
            self._stopped = True
            self._wake.notify_all()
        deadline = self.clock.monotonic() + _TIME_TO_END
        for thread in self._threads:
            thread.join(max(0.0, deadline - self.clock.monotonic()))
        self._requester.close()

    # ------------------------------------------------------------------ for workers; the lock is held

    def take(self, now: float) -> tuple[float, Task | None]:
        """The task to be sent now, counted as sent; without one, when to ask again."""
        time, task = self._soonest(now)
        if task is not None:
            task.departure = self.pace.take(task.request.endpoint, now)
            self.requests += 1
            task.owner.running += 1
        return time, task

    def done(self, task: Task, error: Exception | None) -> None:
        """The task was handled, or failed with `error`, after which it may be tried again."""
        if isinstance(error, StripeError):
            self._refused(task, error)
        elif error is not None:
            self.fail(task.owner, error)
        task.owner.running -= 1
        self.release(task.owner)

    # ------------------------------------------------------------------ workers

    def _start_worker(self) -> None:
        if self._idle < 2 and len(self._threads) < self._most_threads and not self._stopped:
            thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            self._idle += 1
            thread.start()

    def _work(self) -> None:
        try:
            self._run_tasks()
        except BaseException as error:
            # A defect of ours: without this worker the sync might wait for ever.
            self.defect = error

    def _run_tasks(self) -> None:
        while task := self._next():
            error: Exception | None = None
            try:
                assert task.departure is not None
                answer = self._requester.send(task.request, _Trip(task.departure, self.clock))
                self._set_clock(answer.date)
                self._handle(task, answer)
            except Exception as raised:
                error = raised
            with self.lock:
                self._idle += 1
                self.done(task, error)

    def _handle(self, task: Task, answer: Answer) -> None:
        with self.lock:
            self._unhandled += 1
            self._unhandled_bytes += len(answer.packed)
        try:
            with self._handling:
                task.handle(answer)
        finally:
            with self.lock:
                was_full = self._is_full()
                self._unhandled -= 1
                self._unhandled_bytes -= len(answer.packed)
                if was_full and not self._is_full():
                    self._wake.notify()

    def _is_full(self) -> bool:
        return self._unhandled >= _MOST_UNHANDLED or self._unhandled_bytes >= _MOST_BYTES_UNHANDLED

    def _set_clock(self, date: int | None) -> None:
        if self._skew is None and date is not None:
            self._skew = date - self.clock.now()

    def _next(self) -> Task | None:
        """The next task, at its time; waits for one. None when the work is over."""
        with self.lock:
            while not self._stopped:
                now = self.clock.monotonic()
                time, task = self.take(now)
                if task is None:
                    self._sleep(time, now)
                    continue
                self._idle -= 1
                self._start_worker()
                self._wake.notify()
                return task
            self._idle -= 1
            return None

    def _soonest(self, now: float) -> tuple[float, Task | None]:
        """The task to go now; without one, when to look again."""
        if self._is_full():
            return float("inf"), None
        for task in [task for task in self._paused if task.not_before <= now]:
            self._paused.remove(task)
            self._ready.setdefault(task.request.endpoint, deque()).appendleft(task)
        soonest = min((task.not_before for task in self._paused), default=float("inf"))
        left = self._left_by_endpoint()
        # An endpoint that alone will take about as long as all together may not wait with being split until nothing is queued.
        long = _LONG * sum(pages for pages in left.values() if pages < float("inf")) / self.pace.rate * self.pace.endpoint_rate
        idle = []
        for endpoint in sorted(left, key=left.__getitem__, reverse=True):
            if (time := self.pace.next(endpoint, now)) > now:
                soonest = min(soonest, time)
            elif self._ready.get(endpoint) or (left[endpoint] > long and self._split(endpoint)):
                return now, self._pop(endpoint)
            else:
                idle.append(endpoint)
        for endpoint in idle:
            if self._split(endpoint):
                return now, self._pop(endpoint)
        return soonest, None

    def _pop(self, endpoint: str) -> Task:
        queue = self._ready.pop(endpoint)
        task = queue.popleft()
        if queue:  # To the end: endpoints of which nothing else is known take turns.
            self._ready[endpoint] = queue
        return task

    def _left_by_endpoint(self) -> dict[str, float]:
        """How much each endpoint has to go. Those whose requests come one by one go first: something waits for them."""
        left = dict.fromkeys((endpoint for endpoint, queue in self._ready.items() if queue), float("inf"))
        split = [(splitter.endpoint, splitter.left) for splitter in self._splitters]
        left |= dict.fromkeys((endpoint for endpoint, _ in split), 0.0)
        for endpoint, pages in split:
            left[endpoint] += pages
        return left

    def _split(self, endpoint: str) -> bool:
        """Have work of `endpoint` split; whether that made a task."""
        for splitter in self._splitters:
            if splitter.endpoint == endpoint and (task := splitter.split()):
                self.add(task)
                return True
        return False

    def _sleep(self, until: float, now: float) -> None:
        """Wait to be woken. One worker alone watches the next time, so that not all of them wake for each request."""
        if until >= min(self._watched, default=float("inf")):
            self.clock.wait(self._wake, None)
            return
        self._watched.append(until)
        try:
            self.clock.wait(self._wake, until - now)
        finally:
            self._watched.remove(until)

    def _refused(self, task: Task, error: StripeError) -> None:
        """Try again later, hand the error to who expects it, or give up."""
        self._set_clock(error.date)
        now = self.clock.monotonic()
        if error.limited:
            self.pace.fall(task.request.endpoint, error.limited, now)
        if not error.retryable:
            if not (task.refused and task.refused(error)):
                self.fail(task.owner, error)
            return
        back_off = self._requester.retry
        task.tries += 1
        if task.tries == 1:
            task.failing_since = now
        if now - task.failing_since >= back_off.give_up_after:
            self.fail(task.owner, error)
        elif task.owner.error is None:
            task.not_before = now + back_off.pause(error, task.tries)
            self._paused.append(task)
            task.owner.left += 1
            self._wake.notify()
