"""FixMatch less the same term on the labelled images, which takes away the bias that pseudo-labels have.

Paper: Schmutz, Humbert and Mattei 2023, Don't fear the unlabelled: safe semi-supervised learning via debiasing,
arXiv:2203.07512
"""

from torch import Tensor

from sslkit.contracts import Batch, PseudoLabels
from sslkit.losses import cross_entropy, weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class DeFixMatch(PseudoLabeling):
    """L = (H(y, p(x_weak)) + H(y, p(x_strong))) / 2 + lambda_u (A(U) - A(L)), A = mean w_i H(target_i, p(strong_i)).

    The labeler judges the weak views of the labelled images as it does those of the pool, and learns from the pool's
    alone. Where both are the same images A(U) - A(L) is 0, for any lambda_u. The loss may be negative.
    """

    views = {"labeled": ("weak", "strong"), "unlabeled": ("weak", "strong")}
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    defaults = {"algo.lambda_u": 0.5}
    whole = True  # what mixed images lose has another bias than what labelled ones do

    def supervised(self, out: Output, y: Tensor, step: Step) -> Tensor:
        return super().supervised(out, y, step) / 2

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        x, guess = batch["labeled"], out_x.detach()  # logits (B, C)
        strong = step.forward("labeled strong", self.student, x["strong"])  # logits (B, C)
        own = self.labeler.label(guess, guess, batch, step)  # target (B, C), weight (B,)
        bias = weighted_ce(strong.logits, own, n=len(x.index))  # ()
        return {"supervised strong": cross_entropy(strong, x.y) / 2, "bias": -self.strength(step) * bias}
