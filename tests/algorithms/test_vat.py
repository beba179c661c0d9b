"""VAT's perturbation: how long it is, where it points, and what it leaves alone."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from sslkit.losses import frozen_stats
from sslkit.network import Shape
from tests.algorithms.make import SIZE, STEP, Small, algorithm, batch, images, network, setup


@pytest.mark.parametrize("backbone", ["vit", "wrn"])
@pytest.mark.parametrize("eps", [0.5, 6.0])
def test_vats_r_has_length_eps_and_leaves_everything_alone(backbone, eps):
    student = network(backbone)
    made: Any = algorithm("vat", setup(student), {"algo.eps": eps})
    buffers, x = {key: value.clone() for key, value in student.named_buffers()}, images(6)
    with frozen_stats(student):
        r = made.adversary(x, student(x).detach(), STEP)
    assert not r.requires_grad  # a constant of the loss
    assert r.flatten(1).norm(dim=1).tolist() == pytest.approx([eps] * 6, rel=1e-5)
    assert all(p.grad is None for p in student.parameters())
    assert all(value.equal(buffers[key]) for key, value in student.named_buffers())


def test_vats_direction_is_the_power_iterations_and_not_rounding():
    """H d by the Jacobian in float64: J^T (diag p - p p^T) J d. With the published xi float32 has little of it."""
    student, x = network(), images(4)
    double = copy.deepcopy(student).double()
    u = STEP.uniform("vat.direction", 2, *x.shape, device=torch.device("cpu")).double()
    d = (-2 * (1 - u[0]).log()).sqrt() * (2 * math.pi * u[1]).cos()
    exact = []
    for one, direction in zip(x.double(), d, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda image: double(image[None]).logits[0].double(), one)
        rows, p = jacobian.flatten(1), double(one[None]).p[0].detach().double()
        exact.append(rows.T @ ((p.diag() - p[:, None] * p) @ (rows @ direction.flatten())))
    cosines = []
    for chosen in ({}, {"algo.xi": 1e-6}):
        made: Any = algorithm("vat", setup(student), chosen)
        r = made.adversary(x, student(x).detach(), STEP).flatten(1).double()
        cosines.append(torch.cosine_similarity(r, torch.stack(exact)))
    assert (cosines[0] > 0.999).all()
    assert (cosines[1] < 0.9).all()


def test_vats_unlabelled_terms_are_in_float32_under_any_precision():
    made = algorithm("vat", setup(network("wrn")))
    given = batch(type(made))
    plain = made(given, STEP).terms
    with torch.autocast("cpu", torch.bfloat16):
        low = made(given, STEP).terms
    assert low["adversarial"].equal(plain["adversarial"])
    assert low["entropy"].equal(plain["entropy"])
    assert not low["supervised"].equal(plain["supervised"])


def test_vats_forwards_drop_the_same_paths():
    """Else two predictions for one image would differ without any r."""
    made = algorithm("vat", setup(Small(Shape(SIZE, 5), drop_path=0.5)), {"algo.eps": 1e-4})
    assert made(batch(type(made)), STEP).terms["adversarial"].item() == pytest.approx(0, abs=1e-6)


def test_vat_where_no_pixel_matters_is_zero():
    student = network()
    nn.init.zeros_(student.classifier().weight)
    made = algorithm("vat", setup(student))
    terms = made(batch(type(made)), STEP).terms
    terms["adversarial"].backward()
    assert terms["adversarial"].item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in student.parameters())
