import copy

import pytest
import torch
from torch import nn

from sslkit.average import Average
from sslkit.conformance.guard import no_sync
from sslkit.errors import UserError
from sslkit.network import Classifier, Output, Shape
from tests.algorithms.make import CLASSES, SIZE, STEP, Small, built_in, images, network, part, setup


def moved(student: Classifier, seed: int) -> None:
    """As if after an optimizer step: other weights, and one more batch in the statistics."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        student.train()(images(4, seed=seed))


def values(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("buffers", ["average", "copy"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("name", ["wrn", "vit"])
def test_average_is_the_loop(name, decay, buffers):
    student = network(name)
    start = network(name, seed=1)
    average = Average(start, decay, buffers)
    expected = {k: v.double() for k, v in start.state_dict().items()}
    trained = {k for k, _ in student.named_parameters()}
    for step in range(3):
        moved(student, step)
        average.update(student)
        for key, theirs in student.state_dict().items():
            averaged = key in trained or (buffers == "average" and theirs.is_floating_point())
            new = theirs.double().clone()
            expected[key] = decay * expected[key] + (1 - decay) * new if averaged else new
    for key, found in average.network.state_dict().items():
        torch.testing.assert_close(found.double(), expected[key], rtol=1e-5, atol=1e-6)


def test_average_is_the_student_at_decay_zero_and_stays_at_one():
    student = network("wrn")
    follows, stays = Average(student, 0.0), Average(student, 1.0)
    before = values(student)
    moved(student, 3)
    follows.update(student)
    stays.update(student)
    assert all(follows.network.state_dict()[k].equal(v) for k, v in values(student).items())
    for key, value in stays.network.state_dict().items():  # counters are copied under either rule
        assert value.equal(before[key]) == value.is_floating_point()


def test_average_starts_from_a_copy_without_gradients_and_never_trains():
    student = network()
    average = Average(student, 0.9)
    assert not any(p.requires_grad for p in average.parameters())
    assert not {id(p) for p in average.parameters()} & {id(p) for p in student.parameters()}
    nn.ModuleList([average]).train()
    assert not any(module.training for module in average.network.modules())
    assert student.training


def test_average_waits_for_nothing():
    student = network("wrn")
    average = Average(student, 0.9)
    with no_sync():
        average.update(student)


@pytest.mark.parametrize("wrong", [(-0.1, "average"), (1.1, "average"), (0.5, "median")])
def test_average_refuses_what_cannot_be(wrong):
    with pytest.raises(UserError):
        Average(network(), *wrong)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", ["wrn", "vit"])
def test_self_teacher_is_the_student(name, mode):
    student = network(name).train()
    moved(student, 0)
    twin = copy.deepcopy(student).train(mode == "train")
    teacher = part("teacher", "self", setup(student), mode=mode)
    expected = twin(images(4))
    found = teacher.predict(student, images(4), STEP)
    assert found.logits.equal(expected.logits)
    assert not found.logits.requires_grad
    assert student.training
    assert teacher.joinable == (mode == "train")
    assert all(student.state_dict()[k].equal(v) for k, v in values(twin).items())  # statistics, too
    assert teacher.networks() == {}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", ["wrn", "vit"])
def test_ema_teacher_is_the_averaged_network(name, mode):
    student, averaged = network(name), network(name, seed=1)
    moved(averaged, 0)
    teacher = part("teacher", "ema", setup(student, averaged=averaged), mode=mode)
    teacher.train()
    before = values(teacher)
    expected = copy.deepcopy(averaged).train(mode == "train")(images(4))
    found = teacher.predict(student, images(4), STEP)
    assert found.logits.equal(expected.logits)
    assert not found.logits.requires_grad
    assert all(teacher.state_dict()[k].equal(v) for k, v in before.items())  # statistics are as they were
    assert not any(module.training for module in teacher.networks()["teacher"].modules())
    assert not teacher.joinable


def test_ema_teacher_follows_after_the_step_with_its_own_or_the_given_decay():
    for chosen, decay, buffers in (({}, 0.9, "copy"), ({"decay": 0.25, "buffers": "average"}, 0.25, "average")):
        student, averaged = network("wrn"), network("wrn", seed=1)
        teacher = part("teacher", "ema", setup(student, averaged=averaged, buffers="copy"), **chosen)
        loop = Average(averaged, decay, buffers)
        moved(student, 2)
        teacher.update(student, STEP)
        loop.update(student)
        assert all(teacher.networks()["teacher"].state_dict()[k].equal(v) for k, v in values(loop.network).items())


@pytest.mark.parametrize("kind", ["train", "eval"])
def test_ema_teacher_drops_paths_in_train_mode_alone(kind):
    torch.manual_seed(0)
    student = Small(Shape(SIZE, CLASSES), drop_path=0.5)
    teacher = part("teacher", "ema", setup(student), mode=kind)
    one, two = (teacher.predict(student, images(6), step).logits for step in (STEP, STEP.at(1)))
    assert one.equal(two) == (kind == "eval")


@pytest.mark.parametrize("name", built_in("teacher"))
@pytest.mark.parametrize("backbone", ["wrn", "vit"])
def test_every_teacher(name, backbone):
    student = network(backbone).train()
    teacher = part("teacher", name, setup(student)).train()
    x = images(3)
    with no_sync():
        found = teacher.predict(student, x, STEP)
        teacher.update(student, STEP)
    assert isinstance(found, Output)
    assert found.logits.shape == (3, CLASSES)
    assert found.features.shape == (3, student.feature_dim)
    assert not found.logits.requires_grad
    assert x.equal(images(3))
    assert student.training
    assert all(p.grad is None for p in student.parameters())
    assert not any(p.requires_grad for p in teacher.parameters())
