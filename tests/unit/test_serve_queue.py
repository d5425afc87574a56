"""The queue of pictures: bounded, fair over cameras, the newest where that is asked."""

from __future__ import annotations

from darkfuse.live.serve.queue import Job, Queue


def taken(queue: Queue) -> list[str]:
    order = []
    while (job := queue.take(0)) is not None:
        order.append(job.call)
    return order


def test_cameras_take_turns() -> None:
    queue = Queue(10)
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        assert queue.put(Job(name[0], call=name)) == (True, [])
    assert len(queue) == 6
    assert taken(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(queue) == 0


def test_a_full_queue_takes_no_more() -> None:
    queue = Queue(2)
    assert queue.put(Job("a"))[0] and queue.put(Job("a"))[0]
    assert queue.put(Job("a")) == (False, [])
    assert len(queue) == 2


def test_who_fills_the_queue_makes_room_for_another_camera() -> None:
    queue = Queue(3)
    jobs = [Job("greedy", call=number) for number in range(3)]
    for job in jobs:
        queue.put(job)
    assert queue.put(Job("modest", call="m")) == (True, [jobs[2]])
    assert queue.put(Job("modest", call="n")) == (False, [])  # that would be more than its share
    assert taken(queue) == [0, "m", 1]


def test_only_the_newest_where_that_is_asked() -> None:
    queue = Queue(2)
    first, second, other = Job("a", newest=True, call=1), Job("a", newest=True, call=2), Job("b", call=3)
    queue.put(first)
    queue.put(other)
    assert queue.put(second) == (True, [first])  # although all places were taken
    assert taken(queue) == [3, 2]


def test_nobody_waits() -> None:
    queue = Queue(2)
    job, other = Job("a", call=1), Job("a", call=2)
    queue.put(job)
    queue.put(other)
    assert queue.cancel(job) and job.dead and len(queue) == 1
    assert not queue.cancel(job)
    assert queue.put(job) == (False, [])  # it came too late
    assert queue.take(0) is other and not queue.cancel(other) and other.dead
    assert queue.take(0) is None
