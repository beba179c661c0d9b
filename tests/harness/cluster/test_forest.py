"""Stages in jobs, jobs in arrays."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from sslkit.harness.cluster.forest import Array, Job, Piece, arrays, bundled, ranges
from sslkit.harness.cluster.jobs import minutes, shares

HOUR = 3600.0


def tree(seconds: float, seeds: int = 3, arms: int = 2) -> list[Piece]:
    """finetune and what starts from it, of some seeds."""
    made = []
    for seed in range(seeds):
        made.append(Piece(f"f{seed}", "", seconds))
        made += [Piece(f"s{seed}.{arm}", f"f{seed}", seconds) for arm in range(arms)]
    return made


def all_jobs(made: Sequence[Array]) -> list[Job]:
    return [job for array in made for job in array.jobs.values()]


def test_long_stages_are_jobs_and_arms_are_arrays() -> None:
    made = arrays(bundled(tree(HOUR), {}, 600), 1000)
    assert [[job.keys for job in array.jobs.values()] for array in made] == [
        [["f0"], ["f1"], ["f2"]],
        [["s0.0"], ["s1.0"], ["s2.0"]],
        [["s0.1"], ["s1.1"], ["s2.1"]],
    ]
    assert [array.before for array in made] == [None, 0, 0]
    assert [array.level for array in made] == [0, 1, 1]


def test_short_stages_are_one_job_in_the_order_of_training() -> None:
    (array,) = arrays(bundled(tree(10), {}, 600), 1000)
    (job,) = array.jobs.values()
    assert job.keys == ["f0", "s0.0", "s0.1", "f1", "s1.0", "s1.1", "f2", "s2.0", "s2.1"]
    assert job.seconds == 90


def test_siblings_are_bundled_and_the_rest_goes_to_what_they_start_from() -> None:
    (found,) = bundled([Piece("f", "", HOUR), *(Piece(f"s{i}", "f", 250) for i in range(4))], {}, 600).values()
    (job,) = found
    assert job.keys == ["f", "s3"], "too short for a job of its own"
    assert [below.keys for below in job.below] == [["s0", "s1", "s2"]]


def test_what_is_trained_by_a_job_already_is_waited_for() -> None:
    pieces = [Piece("a", "", HOUR), Piece("b", "gone", HOUR), Piece("c", "live", HOUR), Piece("d", "live", HOUR)]
    made = arrays(bundled(pieces, {"live": "7_3"}, 60), 1000)
    assert [(array.after, [job.keys for job in array.jobs.values()]) for array in made] == [
        ("", [["a"], ["b"]]),
        ("7_3", [["c"], ["d"]]),
    ]


def test_arrays_are_no_larger_than_slurm_has_them() -> None:
    made = arrays(bundled(tree(HOUR, seeds=25), {}, 60), 10)
    assert [len(array.jobs) for array in made] == [10, 10, 10, 10, 10, 10, 5, 5, 5]
    assert max(number for array in made for number in array.jobs) == 9


@pytest.mark.parametrize("seed", range(30))
def test_every_stage_is_in_one_job_after_what_it_starts_from(seed: int) -> None:
    draw = random.Random(seed)
    pieces: list[Piece] = []
    for i in range(draw.randint(1, 60)):
        parent = draw.choice(pieces).key if pieces and draw.random() < 0.7 else ""
        pieces.append(Piece(str(i), parent, draw.choice([1.0, 50.0, 400.0, 4000.0])))
    least = draw.choice([0, 100, 600])
    made = arrays(bundled(pieces, {}, least), draw.choice([1, 3, 1000]))
    place = {key: (a, n) for a, array in enumerate(made) for n, job in array.jobs.items() for key in job.keys}
    assert sorted(place) == sorted(piece.key for piece in pieces)
    assert sum(len(job.keys) for job in all_jobs(made)) == len(pieces)
    for piece in pieces:
        if not piece.parent:
            continue
        mine, theirs = place[piece.key], place[piece.parent]
        keys = made[mine[0]].jobs[mine[1]].keys
        if mine == theirs:
            assert keys.index(piece.parent) < keys.index(piece.key)
        else:
            assert (made[mine[0]].before, mine[1]) == theirs
    short = [job for job in all_jobs(made) if job.seconds < least]
    assert len(short) <= 1, "only what is left at the end"


def test_numbers_of_tasks() -> None:
    assert ranges([0, 1, 2, 5]) == "0-2,5"
    assert ranges([3]) == "3"
    assert ranges([0, 2, 4]) == "0,2,4"
    assert ranges([7, 8]) == "7-8"


def test_jobs_at_a_time_are_shared_by_arrays_that_wait_for_as_many() -> None:
    made = arrays(bundled(tree(HOUR, seeds=8, arms=4), {}, 60), 1000)
    assert shares(made, None) == [None] * 5
    assert shares(made, 8) == [8, 2, 2, 2, 2]
    assert shares(made, 1) == [1] * 5


def test_time_of_a_job() -> None:
    def of(seconds: float, longest: float | None) -> int:
        return minutes(Array({0: Job(["a"], seconds)}), longest)

    assert of(600, None) == 30
    assert of(0, None) == 10
    assert of(100 * HOUR, None) == 24 * 60
    assert of(100 * HOUR, 240) == 240
