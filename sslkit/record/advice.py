"""Warnings with advice, for what usually goes wrong: sentences from specifications and measurements, nothing else.

Before training: an average that remembers longer than the run, more threads than cores. While a stage trains: nothing
passes the threshold for long, or all does. Afterwards: it ended early, one class takes over, the semi stage gains
nothing, an earlier stage is more accurate than the last one, stages are of different versions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.config import STAGES
from sslkit.errors import listed
from sslkit.training.spec import Spec

LONG = 0.25  # share of a stage's steps
LEAST = 50  # steps: what is shorter is never long
NOTHING, ALL = 0.001, 0.999  # shares of pseudo-labels that are kept
RIGHT = 0.9  # share of the kept ones from which it does not matter that all are kept


def before(specs: Sequence[Spec], workers: int | None, cores: int) -> list[str]:
    """What can be known before anything is trained.

    Args:
        specs: of the run's stages.
        workers: threads that decode, where they were asked for.
    """
    threads = max(spec.threads * spec.training.get("processes", 1) for spec in specs)
    counts = (("threads", threads if specs[-1].device == "cpu" else 0), ("workers", workers or 0))
    found = [
        f"{number} {name} on {cores} cores take time from each other; use --{name} {cores} or fewer"
        for name, number in counts
        if number > cores
    ]
    return found + list(dict.fromkeys(sentence for spec in specs for sentence in _averages(spec)))


def _averages(spec: Spec) -> list[str]:
    """The averaged network, and a teacher with a decay of its own, if they remember more steps than there are."""
    if spec.fitted:
        return []
    options = spec.parts.get("teacher", {}).get("options", {})
    decays = {"the averaged network": (spec.average["decay"], f"{spec.stage}.decay")}
    if isinstance(options.get("decay"), float):
        decays["the teacher"] = (options["decay"], "teacher.decay")
    steps = spec.training["steps"]
    return [
        f"{who} of stage {spec.stage} has decay {decay:g}, a memory of {_memory(decay)} steps; the stage has {steps}, "
        f"and it stays near its start. Use {key}={max(0.0, 1 - 10 / steps):.4g}, a tenth of the steps, or train longer"
        for who, (decay, key) in decays.items()
        if decay > 1 - 1 / steps
    ]


def _memory(decay: float) -> str:
    return "endlessly many" if decay == 1 else f"{1 / (1 - decay):.0f}"


LOWER, RAISE = "lower labeler.tau", "raise labeler.tau"
WITHOUT = {LOWER: "try another labeler, which keeps more", RAISE: "try another labeler, which keeps fewer"}
WITHOUT["another labeler.tau"] = "another labeler"


def fitting(sentence: str, tau: bool) -> str:
    """A sentence on `labeler.tau`, in other words where the run's labeler has no such threshold."""
    for words, other in () if tau else WITHOUT.items():
        sentence = sentence.replace(words, other)
    return sentence


class Watch:
    """Given the lines of a stage's log one after another, says once if nothing, or all, is kept for long."""

    def __init__(self, spec: Spec) -> None:
        self.long = max(LEAST, LONG * spec.training["steps"])
        self.tau = spec.parts.get("labeler", {}).get("options", {}).get("tau")
        self.since: dict[bool, int | None] = {False: None, True: None}  # all? -> last step before it was so
        self.last, self.said = 0, False

    def __call__(self, line: Mapping[str, Any]) -> str | None:
        """A sentence, or nothing."""
        coverage, confidence = line.get("coverage"), line.get("confidence")
        if coverage is None or self.said:
            return None
        precision = line.get("precision")
        states = {False: coverage < NOTHING, True: coverage > ALL and self.tau is not None and not _right(precision)}
        for every, holds in states.items():
            start = self.since[every]
            self.since[every] = (self.last if start is None else start) if holds else None
        self.last = line["step"]
        for every, start in self.since.items():
            if start is not None and self.last - start >= self.long:
                self.said = True
                said = self._sentence(every, self.last - start, confidence, precision)
                return fitting(said, self.tau is not None)
        return None

    def _sentence(self, every: bool, steps: int, confidence: float | None, precision: float | None) -> str:
        sure = f", their mean confidence is {confidence:.2f}" if confidence is not None else ""
        threshold = f" (labeler.tau is {self.tau:g})" if self.tau is not None else ""
        if not every:
            return (
                f"no pseudo-label was kept in {steps} steps{sure}{threshold}: lower labeler.tau, or train finetune "
                "longer or on more labels"
            )
        if precision is None or math.isnan(precision):
            return f"all pseudo-labels were kept in {steps} steps{threshold}: if some are wrong, raise labeler.tau"
        right = f", {precision:.0%} of them are right"
        return f"all pseudo-labels were kept in {steps} steps{right}{threshold}: wrong ones, too; raise labeler.tau"


def _right(precision: float | None) -> bool:
    return precision is not None and precision >= RIGHT


def early(spec: Spec, row: Mapping[str, Any]) -> str | None:
    """That a stage ended before its last step; `row` is its result."""
    total = spec.training["steps"]
    if row["steps"] == total or spec.fitted:
        return None
    best = row["best"]["step"]
    return f"stage {row['stage']} ended at step {row['steps']} of {total}: its validation was best at step {best}"


def takes_over(stage: str, guess: Sequence[float], truth: Sequence[float], classes: Sequence[str]) -> str | None:
    """A class that is predicted much more often than it is there.

    Args:
        guess, truth: share of each class among the predictions for labelled test images, and among their labels.
    """
    c = max(range(len(guess)), key=lambda i: guess[i] - truth[i])
    more = guess[c] - truth[c]
    if not (more >= 0.3 or (more >= 0.15 and guess[c] >= 3 * truth[c])):
        return None
    advice = "raise labeler.tau, lower the weight of pseudo-labels" if stage == "semi" else "train longer"
    return (
        f"class {classes[c]!r} takes over in stage {stage}: {guess[c]:.0%} of the test images are predicted to be it, "
        f"{truth[c]:.0%} are; {advice}, lower the learning rate, or label more images of the other classes"
    )


def never(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Classes that have test images, and that none of these is predicted to be.

    Args:
        rows: as `by_class` has them.
    """
    lost = [repr(row["class"]) for row in rows if row["images"] and not row["predicted"]]
    if not lost:
        return None
    return f"never predicted: {listed(lost)}; label more images of {'it' if len(lost) == 1 else 'them'}"


def mixed(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """That stages were trained by different versions of sslkit or torch: one was found in the store."""
    by: dict[str, list[str]] = {}
    for row in rows:
        by.setdefault(trained_by(row), []).append(row["stage"])
    if len(by) < 2:
        return None
    said = "; ".join(f"{', '.join(stages)} by {which}" for which, stages in by.items())
    return f"stages were trained by different versions: {said}; --again trains all by this one"


def trained_by(result: Mapping[str, Any]) -> str:
    """The versions that a stage's result is stamped with."""
    return ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items()) or "an unknown one"


def gain(results: Mapping[str, Any]) -> str | None:
    """That the semi stage gained nothing over the control arm or, without one, over its start; and why."""
    last = results["stages"][-1]
    others = [name for name in ("semi - finetune+", "semi - finetune") if name in results["gains"]]
    all_right = results["headline"].get("top1") == 1  # there is nothing to gain
    if last["stage"] != "semi" or not others or results["gains"][others[0]] > 0 or all_right:
        return None
    over = others[0].removeprefix("semi - ")
    quality = last.get("pseudo_labels") or {}
    coverage, precision = quality.get("coverage"), quality.get("precision")
    said = f"the semi stage gained nothing over {over} ({100 * results['gains'][others[0]]:+.1f} points)"
    if coverage is None:
        return f"{said}: more steps, more labels, or another semi.lr may help"
    kept = f"{said}: at the end {coverage:.0%} of the pseudo-labels were kept"
    kept += f", {precision:.0%} of these were right" if precision is not None else ""
    if coverage < 0.2:
        return f"{kept}. Few images took part: lower labeler.tau, or train longer"
    if precision is None:
        return f"{kept}; nobody knows how many were right. Try another labeler.tau, a longer finetune, or more labels"
    if precision < 0.8:
        return f"{kept}. Many labels were wrong: raise labeler.tau, or begin with a longer finetune or more labels"
    return f"{kept}. The labels were not the trouble: try more steps or another semi.lr; one seed may also be chance"


def better(results: Mapping[str, Any], right: Mapping[str, Sequence[bool]]) -> str | None:
    """That a stage before the last one is more accurate; the control arm is `gain`'s, and pretrain may have other data.

    Args:
        right: stage -> whether each labelled test image is classified correctly, of the stages that are known.
    """
    from scipy.stats import binomtest  # slow to import

    last = results["stages"][-1]["stage"]
    before = [row["stage"] for row in results["stages"] if row["stage"] in right and row["stage"] in STAGES[1:]]
    best = max(before, key=lambda stage: sum(right[stage]), default=last)
    if last not in right or sum(right[best]) <= sum(right[last]):
        return None
    pairs = [*zip(right[best], right[last], strict=True)]
    wins, losses = pairs.count((True, False)), pairs.count((False, True))
    p, n = binomtest(wins, wins + losses).pvalue, len(right[last])
    shares = f"{sum(right[best]) / n:.1%} against {sum(right[last]) / n:.1%} of {n} test images"
    sure = f"p {p:.2g}" if p > 0.05 else f"p {p:.2g}, beyond chance"
    asked = str(results["config"]["stages"]).split(",")
    whole = ",".join(asked[: asked.index(best) + 1])
    return f"{best} is more accurate than {last}: {shares} ({sure}, McNemar); --stages {whole} ends with it"
