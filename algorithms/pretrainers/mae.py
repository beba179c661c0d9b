"""Masked autoencoder: a ViT sees a quarter of the patches, a small decoder fills in the others.

Paper: He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377

No label enters, and the student's head is not touched. The class token starts with timm's deviation of 1e-6 and is not
decayed; in the official code it starts with 0.02 and is.
"""

import torch
from timm.layers import LayerNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from sslkit.contracts import Algorithm, Batch, Losses, Setup
from sslkit.errors import UserError
from sslkit.network import Classifier, PatchEncoder, sincos
from sslkit.randomness import Step
from sslkit.registry import register


@register("pretrainer")
class MAE(Algorithm):
    """Mean squared error of the masked patches' pixels, each patch normalised by its own mean and deviation.

    The names of the decoder's parameters are those of the official checkpoints.

    Options:
        mask: share of the patches that the encoder does not see.
        decoder_dim, decoder_depth: of the decoder; heads have 32 channels. None is two thirds of the encoder's, at most
            512 and 8, which are the published ones (ViT-B and larger have them).
        normalise: the target is normalised by patch; else plain pixels.
    """

    views = {"all": ("pretrain",)}
    classifies = False

    def __init__(
        self,
        setup: Setup,
        *,
        mask: float = 0.75,
        decoder_dim: int | None = None,
        decoder_depth: int | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__(setup)
        student = setup.student
        if not isinstance(student, PatchEncoder):
            raise UserError("pre-training by masked patches needs a vision transformer; choose another --backbone")
        self.encoder, self.normalise = student, normalise
        patches = student.grid[0] * student.grid[1]
        self.visible = int(patches * (1 - mask))
        if not 0 < mask < 1 or not 0 < self.visible < patches:
            raise UserError(f"pretrainer.mask={mask} must leave some of {patches} patches seen and some unseen")
        if decoder_dim is None:
            decoder_dim = min(512, max(1, round(student.feature_dim / 48)) * 32)
        if decoder_depth is None:
            blocks = len(student.layers()) - 2  # the first layer is the embedding, the last the head
            decoder_depth = min(8, max(1, round(blocks * 2 / 3)))
        if decoder_dim < 32 or decoder_dim % 32 or decoder_depth < 1:
            raise UserError(
                f"pretrainer.decoder_dim must be a multiple of 32 and pretrainer.decoder_depth 1 or more, "
                f"got {decoder_dim} and {decoder_depth}"
            )
        self.norm = LayerNorm(student.feature_dim, eps=1e-6) if student.pools_patches else nn.Identity()
        self.decoder_embed = nn.Linear(student.feature_dim, decoder_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_dim))
        self.decoder_pos_embed = nn.Parameter(sincos(decoder_dim, *student.grid), requires_grad=False)
        heads = decoder_dim // 32
        made = [Block(decoder_dim, heads, qkv_bias=True, norm_layer=LayerNorm) for _ in range(decoder_depth)]
        self.decoder_blocks = nn.Sequential(*made)
        self.decoder_norm = LayerNorm(decoder_dim, eps=1e-6)
        self.decoder_pred = nn.Linear(decoder_dim, 3 * student.patch**2)
        for module in (*student.trunk(), self.decoder_embed, self.decoder_blocks, self.decoder_pred):
            module.apply(_initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, batch: Batch, step: Step) -> Losses:
        images = batch["all"]["pretrain"]
        n = len(images)
        target = patches_of(images, self.encoder.patch)  # (N, L, p p 3)
        if self.normalise:
            target = (target - target.mean(2, keepdim=True)) / (target.var(2, keepdim=True) + 1e-6).sqrt()
        order = step.uniform("mask", n, target.shape[1], device=images.device).argsort(1)  # (N, L)
        seen, hidden = order[:, : self.visible], order[:, self.visible :]  # (N, K), (N, L - K)
        predicted = self.reconstruct(images, seen)  # (N, L, p p 3)
        index = hidden[..., None].expand(-1, -1, target.shape[2])  # (N, L - K, p p 3)
        loss = (predicted.float().gather(1, index) - target.gather(1, index)).square().mean()
        return Losses({"reconstruction": loss})

    def reconstruct(self, images: Tensor, seen: Tensor) -> Tensor:
        """(N, L, p p 3) predicted patches from those whose numbers (N, K) are seen; p is the side of a patch."""
        tokens = self.decoder_embed(self.norm(self.encoder.encode(images, seen)))  # (N, 1 + K, D)
        n, dim = len(tokens), tokens.shape[2]
        patches = self.mask_token.to(tokens.dtype).expand(n, self.decoder_pos_embed.shape[1] - 1, -1)
        patches = patches.scatter(1, seen[..., None].expand(-1, -1, dim), tokens[:, 1:])
        tokens = torch.cat([tokens[:, :1], patches], 1) + self.decoder_pos_embed
        predicted: Tensor = self.decoder_pred(self.decoder_norm(self.decoder_blocks(tokens)))
        return predicted[:, 1:]

    def networks(self) -> dict[str, Classifier]:
        return {}


def patches_of(images: Tensor, patch: int) -> Tensor:
    """(N, 3, H, W) -> (N, L, p p 3): patches row by row, pixels row by row, channels last."""
    n, channels, height, width = images.shape
    cut = images.reshape(n, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, patch * patch * channels)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):  # the patch projection, as the linear map that it is
        nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
