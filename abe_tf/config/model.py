"""Flags that say which network is built."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

ENCODERS = ("googlenet", "inception_small", "mobilenet")
ENSEMBLES = ("none", "heads", "abe")
# What is left of the image at the last pooling must not be nothing.
_MIN_IMAGE_SIZE = {"googlenet": 32, "inception_small": 16, "mobilenet": 32}
# Those for which Keras has ImageNet weights.
_IMAGENET_ALPHAS = (0.25, 0.5, 0.75, 1.0)


@dataclasses.dataclass(frozen=True)
class ModelConfig(Group):
    """Encoder, ensemble and embedding."""

    encoder: str = option(
        "inception_small",
        "the network that S, the attention trunk and G are cut from; googlenet is the "
        "paper's, inception_small a narrow one with batch normalisation for small "
        "images",
        choices=ENCODERS,
    )
    encoder_weights: str = option(
        "none",
        "where the encoder's weights come from: none (random), imagenet (downloaded "
        "by Keras) or the path of a weight file",
    )
    mobilenet_alpha: float = option(
        1.0, "width of mobilenet (Keras' alpha)", lower=0.05, upper=4
    )
    ensemble: str = option(
        "abe",
        "abe (an attention mask a learner, the rest shared), heads (a copy of G a "
        "learner) or none (the plain network)",
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

    def check(self) -> None:
        """Refuses what no network can be built from."""
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
        self._check_dimensions()
        self._check_weights()

    def check_paths(self) -> None:
        """Refuses a weight file that is missing.

        Apart from `check`, because a trained network no longer needs it.

        Raises:
          InputError: The file does not exist.
        """
        weights = self.encoder_weights
        if weights not in ("none", "imagenet") and not os.path.isfile(weights):
            raise InputError(
                "--encoder_weights must be none, imagenet or the path of a file. "
                f"Received: {weights!r}, which does not exist."
            )

    def check_image_size(self, image_size: int) -> None:
        """Refuses an image that is too small for the encoder.

        Args:
          image_size: Height and width, in pixels.

        Raises:
          InputError: It is.
        """
        smallest = _MIN_IMAGE_SIZE[self.encoder]
        if image_size < smallest:
            raise InputError(
                f"--image_size must be at least {smallest} for "
                f"--encoder={self.encoder}. Received: {image_size}."
            )

    def _check_dimensions(self) -> None:
        if self.embedding_dim % self.num_learners:
            lower = self.embedding_dim // self.num_learners * self.num_learners
            fits = [d for d in (lower, lower + self.num_learners) if d]
            raise InputError(
                "--embedding_dim must be a multiple of --num_learners. "
                f"Received: {self.embedding_dim} and {self.num_learners}. "
                f"Use {' or '.join(map(str, fits))}."
            )

    def _check_weights(self) -> None:
        if self.encoder_weights == "none":
            return
        if self.encoder != "mobilenet":
            raise InputError(
                f"--encoder={self.encoder} starts from random weights. "
                f"Received: --encoder_weights={self.encoder_weights}. "
                "Use --encoder_weights=none, or --encoder=mobilenet."
            )
        alpha = self.mobilenet_alpha
        if self.encoder_weights == "imagenet" and alpha not in _IMAGENET_ALPHAS:
            raise InputError(
                "--encoder_weights=imagenet exists for --mobilenet_alpha "
                f"{', '.join(map(str, _IMAGENET_ALPHAS))}. Received: {alpha}."
            )

    @property
    def pretrained(self) -> bool:
        """Whether the encoder starts from given weights."""
        return self.encoder_weights != "none"
