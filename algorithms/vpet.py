"""The vote of finished runs for every image, learned on its weak and on its strong view; labels alone are not used.

Paper: Zhang et al. 2025, Revisiting Semi-Supervised Learning in the Era of Foundation Models, arXiv:2503.09707

`--set predictions=RUN,RUN,...` names the voters, runs on the labels, each with a backbone and an adapter of its own; a
file of predictions may be one. The authors' program takes the softmax of the counts of votes, by which four votes for
one of 47 classes come to 0.54; this is the paper's mean. Labelled images are of the pool, with what is voted for them.
"""

from sslkit.contracts import Batch, Losses
from sslkit.guided import Voting, divergence, pseudo_labels
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class VPET(Voting):
    """L = KL(q || p(weak)) + KL(q || p(strong)), means over the images; q = mean over m of one-hot(argmax p_m).

    Where the voters agree it is the cross-entropy of a hard label. Images without a vote count as 0.
    """

    views = {"unlabeled": ("weak", "strong")}
    defaults = {"data.pool": "all"}

    def forward(self, batch: Batch, step: Step) -> Losses:
        u = batch["unlabeled"]
        labels = pseudo_labels(self.of_unlabeled[u.index])  # target (N, C)
        terms = {}
        for name, view in (("student", "weak"), ("strong", "strong")):
            out = step.forward(name, self.student, u[view])  # logits (N, C)
            terms[view] = divergence(out.logits, labels)  # ()
        return Losses(terms, labels)
