"""What every backbone keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import linear

from sslkit.config.resolve import argument
from sslkit.conformance import Check, Skipped, expect
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape

SIZE, CLASSES, IMAGES = 32, 7, 3


class Made:
    """The checks of one backbone, which is made once for all of them: some have 600 million weights."""

    def __init__(self, cls: type[Classifier], name: str) -> None:
        self.cls, self.name = cls, name
        self._network: Classifier | None = None

    @property
    def network(self) -> Classifier:
        if self._network is None:
            torch.manual_seed(0)
            self._network = self.another()
        return self._network.train()

    def another(self) -> Classifier:
        try:
            arguments = argument("backbone", self.name, self.cls)
        except UserError as error:
            raise Skipped(str(error)) from None
        return self.cls(Shape(SIZE, CLASSES), **arguments)

    def right_shapes(self, _: Any) -> None:
        """Logits (N, C) and features (N, D) are float32 and finite, also under bfloat16; D is `feature_dim`."""
        for half in (False, True):
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
                output = self.network.eval()(_images())
            where = " under bfloat16" if half else ""
            for name, width in (("logits", CLASSES), ("features", self.network.feature_dim)):
                value = getattr(output, name)
                expect(tuple(value.shape) == (IMAGES, width), f"{name} have the shape {tuple(value.shape)}{where}")
                expect(value.dtype == torch.float32, f"{name} are {value.dtype}{where}; end with `.float()`")
                expect(bool(value.isfinite().all()), f"{name} are not finite{where}")

    def each_image_for_itself(self, _: Any) -> None:
        """In evaluation mode an image's logits do not depend on the others of its batch, and are the same twice."""
        network = self.network.eval()
        with torch.no_grad():
            every = network(_images()).logits
            alone = torch.cat([network(image[None]).logits for image in _images()])
            expect(torch.equal(every, network(_images()).logits), "they differ the second time")
        expect(torch.allclose(every, alone, atol=1e-3, rtol=1e-3), "they depend on the others")

    def inputs_stay(self, _: Any) -> None:
        """Images are not changed."""
        images = _images()
        self.network(images)
        expect(torch.equal(images, _images()), "the images are changed")

    def learns_everywhere(self, _: Any) -> None:
        """In training every parameter gets a finite gradient."""
        network = self.network
        network(_images()).logits.square().mean().backward()  # type: ignore[no-untyped-call]
        none = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
        network.zero_grad(set_to_none=True)
        expect(not none, f"{len(none)} parameters get no gradient, the first is {none[:1]}")

    def has_a_head(self, _: Any) -> None:
        """A linear layer called head, fc or classifier makes its logits of its features."""
        network = self.network.eval()
        head = network.classifier()
        with torch.no_grad():
            output = network(_images())
            expected = linear(output.features, head.weight, head.bias)
        expect(head.out_features == CLASSES, f"its head has {head.out_features} classes, {CLASSES} were asked for")
        expect(torch.allclose(output.logits, expected, atol=1e-4, rtol=1e-4), "its logits are others")

    def names_are_its_own(self, _: Any) -> None:
        """`no_weight_decay` names parameters, `layers` has each parameter once, `stack` has modules of the network."""
        network, own = self.network, dict(self.network.named_parameters())
        strange = network.no_weight_decay() - own.keys()
        expect(not strange, f"no_weight_decay has {sorted(strange)[:1]}, which is no parameter")
        listed = [id(p) for layer in network.layers() for p in layer]
        expect(len(listed) == len({*listed}), "layers has a parameter twice")
        expect({*listed} == {id(p) for p in own.values()}, "layers has not all parameters")
        modules = {id(m) for m in network.modules()}
        expect(all(id(m) in modules for m in network.stack()), "stack has a module that is not in the network")

    def is_copied(self, _: Any) -> None:
        """Its twin and one that was loaded from its state give what it gives."""
        network = self.network.eval()
        if sum(p.numel() for p in network.parameters()) > 1e8:
            raise Skipped("it has more than 10^8 weights, of which there would be three copies")
        with torch.no_grad():
            expected = network(_images()).logits
            twin = network.twin()
            expect(torch.equal(twin.eval()(_images()).logits, expected), "its twin gives other logits")
            torch.manual_seed(5)
            other = self.another().eval()
            other.load_state_dict(network.state_dict())
            expect(torch.equal(other(_images()).logits, expected), "what was loaded gives other logits")


def _images() -> torch.Tensor:
    return torch.randn(IMAGES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def checks(cls: type[Classifier], name: str) -> Sequence[Check]:
    made = Made(cls, name)
    return (
        made.right_shapes, made.each_image_for_itself, made.inputs_stay, made.learns_everywhere, made.has_a_head,
        made.names_are_its_own, made.is_copied,
    )  # fmt: skip
