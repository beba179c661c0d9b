"""The student's own prediction, made softer."""

from sslkit import register
from sslkit.contracts import Teacher
from sslkit.network import Output


@register("teacher")
class Soft(Teacher):
    def __init__(self, setup, *, temperature: float = 2.0):
        super().__init__()
        self.temperature = temperature

    def predict(self, student, images, step):
        output = step.forward("teacher", student, images)
        return Output(output.logits / self.temperature, output.features)
