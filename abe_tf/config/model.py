"""Flags that say which network is built."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Sequence

from abe_tf.config.groups import Group, option
from abe_tf.config.sizes import ImageSize, as_text, sides
from abe_tf.errors import InputError
from abe_tf.layout import Layout

# With the smallest image of each: what is left at its end must not be nothing.
_MIN_IMAGE_SIZE = {
    "googlenet": 32,
    "inception_bn": 32,
    "inception_small": 16,
    "mobilenet": 32,
    "mobilenet_v2": 32,
    "inception_v3": 75,
    "resnet50": 32,
    "efficientnet_b0": 32,
}
ENCODERS = tuple(_MIN_IMAGE_SIZE)
PRECISIONS = ("float32", "bfloat16", "float16")
ENSEMBLES = ("none", "heads", "abe", "hdc", "bier")
NORMALIZATIONS = ("batch", "instance_half", "batch_instance")
# How much more one learner may count than another.
_MOST_UNEQUAL = 100
# Those for which Keras has ImageNet weights.
_IMAGENET_ALPHAS = {
    "mobilenet": (0.25, 0.5, 0.75, 1.0),
    "mobilenet_v2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}


@dataclasses.dataclass(frozen=True)
class ModelConfig(Group):
    """Encoder, ensemble and embedding."""

    encoder: str = option(
        "inception_small",
        "the network that S, the attention trunk and G are cut from; googlenet is the "
        "paper's, inception_bn the same with batch normalisation, inception_small a "
        "narrow one for small images, the others are of tf.keras.applications",
        choices=ENCODERS,
    )
    encoder_weights: str = option(
        "none",
        "where the encoder's weights come from: none (random), imagenet (downloaded "
        "once) or the path of a file: Keras' HDF5, for googlenet also a .caffemodel, "
        "for inception_bn also TF-Slim's checkpoint or its archive",
    )
    mobilenet_alpha: float = option(
        1.0, "width of mobilenet and mobilenet_v2 (Keras' alpha)", lower=0.05, upper=4
    )
    attention_at: str | None = option(
        None,
        "layer where attention branches off, the end of a block; the encoder's own "
        "where none is given (python -m abe_tf.encoders lists them). M-heads share "
        "what is before it",
    )
    attention_depth: int | None = option(
        None,
        "blocks in the attention trunk; 0 for the mask's 1 x 1 convolution alone; as "
        "many as the encoder has at its own place, or fewer that keep the size, where "
        "none is given",
        lower=0,
    )
    freeze_until: str | None = option(
        None,
        "keep the encoder's layers as they are up to this end of a block, which must "
        "not be behind --attention_at",
    )
    ensemble: str = option(
        "abe",
        "abe (an attention mask a learner, the rest shared), heads (a copy of G a "
        "learner), hdc (a learner from every third of the network), bier (all shared "
        "but linear layers of growing size) or none (the plain network)",
        choices=ENSEMBLES,
    )
    num_learners: int = option(4, "M, the number of learners", lower=1, upper=64)
    embedding_dim: int = option(
        128,
        "D, the dimensions of all learners together; 0 with --ensemble=none leaves "
        "the linear layer out and embeds by the pooled features themselves",
        lower=0,
        upper=65536,
    )
    learner_dims: tuple[int, ...] = option(
        (),
        "dimensions of each learner of bier, with commas between, --embedding_dim in "
        "sum; about as 1:2:3:... where none are given, 96,160,256 of 512 as in the "
        "paper",
        lower=1,
    )
    learner_weights: tuple[float, ...] = option(
        (),
        "how much the distance of each learner counts, with commas between; where "
        "none are given as 1:2:3:... with hdc, as their dimensions with bier, alike "
        "with the others",
        lower=1e-3,
        upper=1e3,
    )
    hdc_taps: tuple[str, ...] = option(
        (),
        "layers behind which hdc has its first learners, ends of blocks, with commas "
        "between; where none are given those of the paper in GoogLeNet, a third and "
        "two thirds of the way in others (python -m abe_tf.encoders lists them)",
    )
    mask_bias: float = option(
        0.0,
        "bias of the mask convolutions at the start, before the sigmoid; 0 is the "
        "paper's and gives masks near 0.5, 3 gives masks near 0.95, which leave "
        "pretrained features as they are",
    )
    freeze_batch_norm: bool = option(
        False,
        "keep the encoder's batch normalisation as it is: its averages are used and "
        "neither they nor its scales are trained",
    )
    normalization: str = option(
        "batch",
        "in place of each batch normalisation of the encoder: batch, instance_half "
        "(half of the channels by the statistics of each image) or batch_instance "
        "(MetaBIN's mixture of both, by channel; it starts as batch)",
        choices=NORMALIZATIONS,
    )
    instance_affine: str = option(
        "unit",
        "where the scales and shifts of batch_instance's part by image start: unit, 1 "
        "and 0 as MetaBIN was released, or batch, those of the batch normalisation "
        "whose place it takes, which pretrained weights behind it are used to",
        choices=("unit", "batch"),
    )
    precision: str = option(
        "float32",
        "what convolutions compute in; weights, normalisation, distances and losses "
        "are float32 under each; float16 comes with loss scaling",
        choices=PRECISIONS,
    )

    def check_together(self) -> None:
        """Refuses what no network can be built from."""
        if self.ensemble in ("hdc", "bier") and self.num_learners < 2:
            raise InputError(
                f"--ensemble={self.ensemble} needs --num_learners of 2 or more. "
                f"Received: {self.num_learners}. The paper has 3."
            )
        if self.ensemble == "none" and self.num_learners != 1:
            raise InputError(
                "--ensemble=none has one learner. "
                f"Received: --num_learners={self.num_learners}. "
                "Set it to 1, or choose --ensemble=heads or abe."
            )
        if self.embedding_dim == 0 and self.ensemble != "none":
            raise InputError(
                "--embedding_dim=0 (no linear layer) goes with --ensemble=none. "
                f"Received: --ensemble={self.ensemble}."
            )
        if self.encoder == "googlenet" and self.normalization != "batch":
            raise InputError(
                "--normalization takes the place of batch normalisation, which "
                f"googlenet has not. Received: {self.normalization}. Use "
                "--encoder=inception_bn, or --normalization=batch."
            )
        if self.normalization != "batch_instance" and self.instance_affine != "unit":
            raise InputError(
                "--instance_affine goes with --normalization=batch_instance. Received: "
                f"{self.instance_affine} with {self.normalization}. Leave it out."
            )
        self._check_dimensions()
        lengths = self.layout.lengths
        if max(lengths) > _MOST_UNEQUAL * min(lengths):
            raise InputError(
                f"A learner must not count more than {_MOST_UNEQUAL} times as much as "
                "another, which rounding would drown. Received: "
                f"{max(lengths) / min(lengths):.4g} times. Give other "
                "--learner_weights."
            )
        self._check_weights()

    def check_paths(self) -> None:
        """Refuses a weight file that is missing.

        Apart from `check_together`, because a trained network no longer needs it.

        Raises:
          InputError: The file does not exist.
        """
        weights = self.encoder_weights
        # A TensorFlow checkpoint is a prefix of several files.
        is_file = os.path.isfile(weights) or os.path.isfile(f"{weights}.index")
        if weights not in ("none", "imagenet") and not is_file:
            raise InputError(
                "--encoder_weights must be none, imagenet or the path of a file. "
                f"Received: {weights!r}, which does not exist."
            )

    def check_image_size(self, image_size: ImageSize) -> None:
        """Refuses an image that is too small for the encoder.

        Args:
          image_size: Side of a square or height and width, in pixels.

        Raises:
          InputError: It is.
        """
        smallest = _MIN_IMAGE_SIZE[self.encoder]
        if min(sides(image_size)) < smallest:
            raise InputError(
                f"--image_size must be at least {smallest} for "
                f"--encoder={self.encoder}. Received: {as_text(image_size)}."
            )

    def _check_dimensions(self) -> None:
        self._check_each("learner_dims", self.num_learners, ("bier",))
        self._check_each("learner_weights", self.num_learners, ENSEMBLES)
        self._check_each("hdc_taps", self.num_learners - 1, ("hdc",))
        if self.ensemble == "bier":
            dims = self.layout.dims
            if min(dims) < 1:
                raise InputError(
                    "--embedding_dim must have a number for each learner of bier, the "
                    f"first as the smallest. Received: {self.embedding_dim} for "
                    f"{self.num_learners}. Give more, or --learner_dims."
                )
            if sum(dims) != self.embedding_dim:
                raise InputError(
                    "--learner_dims must be --embedding_dim in sum. "
                    f"Received: {','.join(map(str, dims))} of {self.embedding_dim}."
                )
        elif self.embedding_dim % self.num_learners:
            lower = self.embedding_dim // self.num_learners * self.num_learners
            fits = [d for d in (lower, lower + self.num_learners) if d]
            raise InputError(
                "--embedding_dim must be a multiple of --num_learners. "
                f"Received: {self.embedding_dim} and {self.num_learners}. "
                f"Use {' or '.join(map(str, fits))}."
            )

    def _check_each(self, name: str, wanted: int, ensembles: tuple[str, ...]) -> None:
        values = getattr(self, name)
        if values and self.ensemble not in ensembles:
            raise InputError(
                f"--{name} goes with --ensemble={'|'.join(ensembles)}. Received: "
                f"{','.join(map(str, values))} with --ensemble={self.ensemble}. Leave "
                "it out."
            )
        if values and len(values) != wanted:
            raise InputError(
                f"--{name} must be {wanted} with --num_learners={self.num_learners}. "
                f"Received: {','.join(map(str, values))}."
            )

    def _check_weights(self) -> None:
        if self.encoder_weights == "none":
            return
        if self.encoder == "inception_small":
            raise InputError(
                f"--encoder={self.encoder} starts from random weights. "
                f"Received: --encoder_weights={self.encoder_weights}. "
                "Use --encoder_weights=none, or another --encoder."
            )
        alpha, alphas = self.mobilenet_alpha, _IMAGENET_ALPHAS.get(self.encoder, ())
        if self.encoder_weights == "imagenet" and alphas and alpha not in alphas:
            raise InputError(
                "--encoder_weights=imagenet exists for --mobilenet_alpha "
                f"{', '.join(map(str, alphas))}. Received: {alpha}."
            )

    @property
    def layout(self) -> Layout:
        """Sizes and lengths of the learners; sizes 0 without a linear layer."""
        learners = self.num_learners
        dims = self.learner_dims
        if self.ensemble == "bier":
            dims = dims or _growing(self.embedding_dim, learners)
        else:
            dims = (self.embedding_dim // learners,) * learners
        weights: Sequence[float] = self.learner_weights
        if not weights and self.ensemble == "hdc":
            weights = range(1, learners + 1)
        elif not weights:
            weights = dims if self.ensemble == "bier" else (1,) * learners
        return Layout.weighted(dims, weights)

    @property
    def has_width(self) -> bool:
        """Whether `mobilenet_alpha` means anything to the encoder."""
        return self.encoder in _IMAGENET_ALPHAS

    @property
    def pretrained(self) -> bool:
        """Whether the encoder starts from given weights."""
        return self.encoder_weights != "none"


def _growing(size: int, learners: int) -> tuple[int, ...]:
    """Sizes of learners about as 1:2:3:...; of three in sixteenths, as in the paper."""
    unit = size // 16 if learners == 3 and size % 16 == 0 else 1
    whole = learners * (learners + 1)
    ends = [
        unit * round(size / unit * number * (number + 1) / whole)
        for number in range(learners + 1)
    ]
    return tuple(end - begin for begin, end in itertools.pairwise(ends))
