"""What happens to jobs and drivers in a week, each on a comparison of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster import real
from tests.cluster.real import Comparison, tell, wait

Harm = Callable[[Path], Comparison]


def cancelled(place: Path) -> Comparison:
    """scancel of a running and of a pending job."""
    made = Comparison(place, real.SHORT)
    driver = made.start()
    wait(lambda: bool(made.tasks("RUNNING") and made.tasks("PENDING")))
    tell("scancel", made.tasks("RUNNING")[0])
    wait(lambda: bool(made.tasks("PENDING")))
    tell("scancel", made.tasks("PENDING")[-1])
    said, _ = driver.communicate(timeout=200)
    assert "CANCELLED" in said, said
    made.run()
    assert set(made.trained().values()) == {1}
    return made


def out_of_memory(place: Path) -> Comparison:
    """Jobs with less memory than torch takes; the next command asks for more."""
    made = Comparison(place, real.SHORT, "slurm,mem=150M")
    driver = made.start()
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 2
    assert "ran out of memory; ask for more" in said, said
    made.cluster = "slurm,mem=2G"
    made.run()
    return made


def killed_driver(place: Path) -> Comparison:
    """kill -9 of the driver, twice: as soon as there is a submission, and while a job runs."""
    made = Comparison(place, real.SHORT)
    driver = made.start()
    wait(lambda: bool(made.names()))
    driver.kill()
    driver.communicate()
    driver = made.start()
    wait(lambda: bool(made.tasks("RUNNING")))
    driver.kill()
    driver.communicate()
    made.run()
    assert set(made.trained().values()) == {1}, made.trained()
    return made


def controller_restarted(place: Path) -> Comparison:
    """slurmctld is restarted while jobs run."""
    made = Comparison(place, real.SHORT)
    driver = made.start()
    wait(lambda: bool(made.tasks("RUNNING")))
    real.restart_controller()
    said, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, said
    assert set(made.trained().values()) == {1}
    return made


def drained(place: Path) -> Comparison:
    """The only node is drained when jobs are submitted, and comes back."""
    made = Comparison(place, real.SHORT)
    node = tell("hostname", "-s").strip()
    tell("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        driver = made.start()
        wait(lambda: bool(made.tasks("PENDING")))
        status = made.run("--status")
        assert "waiting: " in status, status
    finally:
        tell("scontrol", "update", f"nodename={node}", "state=resume")
    said, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, said
    return made


def terminated(place: Path) -> Comparison:
    """SIGTERM in training, as before a preemption: the job saves, and has itself run again."""
    made = Comparison(place, real.SHORT, slow=0.5)
    driver = made.start()
    wait(lambda: "semi of fixmatch, slow, seed 0: begins" in made.logs())
    (job,) = [name for name in made.tasks("RUNNING") if "semi" in made.log_of(name)]
    tell("scancel", "--signal=TERM", "--full", job)
    said, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, said
    assert "goes on from step" in made.logs()
    assert set(made.trained().values()) == {1}
    return made


HARMS: list[Harm] = [cancelled, terminated, out_of_memory, killed_driver, controller_restarted, drained]


class Limit:
    """A stage that takes more than two minutes, in jobs that may last one."""

    def __init__(self, place: Path) -> None:
        self.found = Comparison(place / "limit", real.LONG, "slurm,time=1", slow=0.45)
        self.here = Comparison(place / "limit-here", real.LONG)
        self.driver = self.found.start()

    def end(self) -> int:
        """How often it was requeued, once it is finished with the weights of a run in one process."""
        self.here.run(here=True)
        said, _ = self.driver.communicate(timeout=500)
        assert self.driver.returncode == 0, said
        real.assert_equal(self.found, self.here)
        real.assert_same_weights(self.found, self.here)
        assert set(self.found.trained().values()) == {1}
        return self.found.logs().count("runs again when it has its turn")
