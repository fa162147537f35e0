"""Random changes of a batch, each `(key, batch) -> batch` (D2, D3).

Each example draws for itself; structure, shapes and dtypes stay. Masks, boxes and key points move
with their pictures: see `jrecipe.augment.fields` for how they are recognised.
"""

from jrecipe.augment.affine import random_affine, random_rotate, random_scale, random_shear
from jrecipe.augment.blur import random_blur, random_noise
from jrecipe.augment.chance import apply_with, one_of
from jrecipe.augment.checked import checked
from jrecipe.augment.colour import (
    random_brightness,
    random_contrast,
    random_grey,
    random_hue,
    random_saturation,
)
from jrecipe.augment.compose import compose
from jrecipe.augment.domain import domain_randomise
from jrecipe.augment.erase import cutout, random_erase
from jrecipe.augment.fields import validate
from jrecipe.augment.flip import random_flip, random_flip_vertical
from jrecipe.augment.mix import cutmix, mixup
from jrecipe.augment.paste import paste_objects
from jrecipe.augment.perspective import random_perspective
from jrecipe.augment.rand_augment import rand_augment, trivial_augment
from jrecipe.augment.renamed import renamed
from jrecipe.augment.spans import span_masking
from jrecipe.augment.text import token_dropout, token_swap
from jrecipe.augment.translate import random_crop, random_translate
from jrecipe.augment.warping import warp

__all__ = [
    "apply_with",
    "checked",
    "compose",
    "cutmix",
    "cutout",
    "domain_randomise",
    "mixup",
    "one_of",
    "paste_objects",
    "rand_augment",
    "random_affine",
    "random_blur",
    "random_brightness",
    "random_contrast",
    "random_crop",
    "random_erase",
    "random_flip",
    "random_flip_vertical",
    "random_grey",
    "random_hue",
    "random_noise",
    "random_perspective",
    "random_rotate",
    "random_saturation",
    "random_scale",
    "random_shear",
    "random_translate",
    "renamed",
    "span_masking",
    "token_dropout",
    "token_swap",
    "trivial_augment",
    "validate",
    "warp",
]
