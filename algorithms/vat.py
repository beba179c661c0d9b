"""The prediction should stay as it is under the small change of the image that would change it most.

Paper: Miyato et al. 2018, Virtual Adversarial Training, arXiv:1704.03976

With entropy minimisation (the paper's VAT+EntMin). The divergence is the paper's, KL(p(u) || p(u + r)); Google's code
turns it around in the loss. Weights and ramp are Google's and TorchSSL's; the paper has weight 1 and no ramp.

Published with xi 1e-6, which is below the rounding of float32: added to pixels around 1 it mostly vanishes, and r is
then rounding made large (cosine 0.1 with the direction in float64, on a fresh WRN-28-2). At 0.01 it is 0.999.
"""

import math

import torch
from torch import Tensor

from sslkit.contracts import Algorithm, Batch, Losses, Setup
from sslkit.errors import UserError
from sslkit.losses import all_kept, cross_entropy, frozen_stats
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class VAT(Algorithm):
    """L = H(y, student(x)) + weight * ramp * mean KL(sg p(u) || p(u + r)) + entropy * mean H(p(u), p(u)).

    One power iteration, for each image: d normal, r0 = xi d / |d|, g = gradient of KL(sg p(u) || p(u + r0)) by r0,
    r = eps g / |g|, a constant. It leaves gradients of parameters and BatchNorm's statistics alone, which only labelled
    images move. Forwards of unlabelled images have the same draws for dropout and are in float32 under any precision.

    Options:
        weight: of the adversarial term after its ramp.
        ramp: share of the steps over which that weight rises linearly from 0.
        entropy: weight of the entropy, from the first step on.
        eps: length of r, in units of the normalised image as a whole (all pixels and channels); 6 is for 32 x 32.
        xi: length of the step by which the gradient is felt for.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak",)}

    def __init__(
        self,
        setup: Setup,
        *,
        weight: float = 0.3,
        ramp: float = 0.4,
        entropy: float = 0.06,
        eps: float = 6.0,
        xi: float = 0.01,
    ) -> None:
        super().__init__(setup)
        if weight < 0 or entropy < 0:
            raise UserError(f"algo.weight and algo.entropy must be 0 or more, got {weight} and {entropy}")
        if not 0 <= ramp <= 1:
            raise UserError(f"algo.ramp must be in [0, 1], got {ramp}")
        if not (eps > 0 and xi > 0):
            raise UserError(f"algo.eps and algo.xi must be above 0, got {eps} and {xi}")
        self.weight, self.ramp, self.entropy, self.eps, self.xi = weight, ramp, entropy, eps, xi

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        with frozen_stats(self.student), torch.autocast(u["weak"].device.type, enabled=False):
            clean = step.forward("student", self.student, u["weak"])  # logits (N, C)
            r = self.adversary(u["weak"], clean.detach(), step)  # (N, 3, H, W)
            moved = step.forward("student", self.student, u["weak"] + r)  # logits (N, C)
        adversarial = self.weight * step.ramp(self.ramp) * divergence(clean.detach(), moved).mean()  # ()
        entropy = -self.entropy * (clean.p * clean.logits.log_softmax(1)).sum(1).mean()  # ()
        target = clean.p.detach()  # (N, C)
        labels = all_kept(target)
        terms = {"supervised": cross_entropy(out_x, x.y), "adversarial": adversarial, "entropy": entropy}
        return Losses(terms, labels)

    def adversary(self, images: Tensor, clean: Output, step: Step) -> Tensor:
        """r (N, 3, H, W) of length eps each, detached; zeros where no pixel changes the prediction."""
        u = step.uniform("vat.direction", 2, *images.shape, device=images.device)  # (2, N, 3, H, W)
        normal = (-2 * (1 - u[0]).log()).sqrt() * (2 * math.pi * u[1]).cos()  # (N, 3, H, W), by Box and Muller
        r = (self.xi * unit(normal)).requires_grad_()
        felt = divergence(clean, step.forward("student", self.student, images + r)).sum()  # ()
        (gradient,) = torch.autograd.grad(felt, r)  # by r alone: parameters are not accumulated into
        return self.eps * unit(gradient)


def divergence(p: Output, q: Output) -> Tensor:
    """(N,) KL(p || q)."""
    return (p.p * (p.logits.log_softmax(1) - q.logits.log_softmax(1))).sum(1)


def unit(x: Tensor) -> Tensor:
    """Each image (N, 3, H, W) at length 1; zeros stay zeros. Squares of tiny gradients do not underflow."""
    x = x / x.abs().amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return x / x.square().sum((1, 2, 3), keepdim=True).sqrt().clamp_min(1)  # the largest element is 1 now, or all are 0
