"""Any model of timm by its name, `timm:NAME`, without pre-trained weights."""

import difflib

from sslkit.backbones._timm import TimmClassifier, checked_patch
from sslkit.errors import UserError, one_line
from sslkit.network import Shape
from sslkit.registry import register


@register("backbone")
class Timm(TimmClassifier):
    """Options:
    model: the name after the colon.
    patch: side of a patch where the model has one; None is 4 up to 64 px and the model's own above.
    """

    argument = "model"

    def __init__(self, shape: Shape, *, model: str, patch: int | None = None) -> None:
        import timm  # slow to import

        if not timm.is_model(model):
            near = difflib.get_close_matches(model, timm.list_models(), n=3)
            raise UserError(f"timm has no model {model!r}" + (f"; near are {', '.join(near)}" if near else ""))
        asked, patch = patch, patch or (4 if shape.size <= 64 else None)
        sized = {"img_size": shape.size} | ({"patch_size": patch} if patch else {})
        network, chosen = None, {}
        for arguments in [sized] if asked else [sized, {"img_size": shape.size}, {}]:  # not every model takes both
            try:
                network = timm.create_model(model, num_classes=shape.classes, **arguments)
                chosen = arguments
                break
            except TypeError as error:
                reason = error
            except Exception as error:
                raise UserError(f"timm:{model} does not fit {shape.size} px: {one_line(error)}") from error
        if network is None:
            raise UserError(f"timm:{model} cannot be made: {one_line(reason)}") from reason
        side = getattr(getattr(network, "patch_embed", None), "patch_size", None)
        if side and not getattr(network, "dynamic_img_pad", False):
            checked_patch(shape.size, side[0])  # timm would leave a margin out without a word
        super().__init__(network, int(getattr(network, "head_hidden_size", network.num_features)), chosen)
