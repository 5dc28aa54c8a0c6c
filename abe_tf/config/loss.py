"""Flags that say what is minimised."""

from __future__ import annotations

import dataclasses

from abe_tf.config.classifier import ClassifierConfig
from abe_tf.config.divergence import DivergenceConfig
from abe_tf.config.groups import option
from abe_tf.errors import InputError

# What --metric_loss names: each is the module of `abe_tf.losses` that has it.
METRIC_LOSSES = (
    *("contrastive", "triplet_semihard", "triplet_hard", "lifted_struct", "npairs"),
    *("angular", "clustering", "proxy_nca", "margin", "proxy_anchor"),
    "multi_similarity",
    *("hdc", "bier"),
)
# Where no loss is named: of the ensembles that have one of their own, and of others.
_OF_ENSEMBLE = {"hdc": "hdc", "bier": "bier"}
_OF_OTHERS = "contrastive"
# Published for vectors of any length.
_FREE = ("lifted_struct", "npairs", "angular", "triplet_hard")
# The N-pairs paper's.
NORM_WEIGHT = 0.002
# With variables of their own, as bier with --adversarial_weight; of the first and
# second, third and fourth, ... image.
WITH_VARIABLES = ("proxy_nca", "margin", "proxy_anchor")
OF_NEIGHBOURS = ("npairs", "angular")
NOT_COMPILED = {
    "angular": "TensorFlow 2.15's XLA cannot tell how many pairs there are",
    "clustering": "its medoids are found outside the graph",
    "margin": "XLA would draw other negatives",
}
# Settings that only some losses have.
_SETTINGS = {
    "contrastive_hinge": ("contrastive",),
    "norm_weight": _FREE,
    "angular_degrees": ("angular",),
    "npairs_weight": ("angular",),
    **dict.fromkeys(
        ("clustering_gamma", "clustering_decay_factor", "clustering_decay_steps"),
        ("clustering",),
    ),
    **dict.fromkeys(
        ("proxy_positive", "proxy_scale", "proxy_smoothing"), ("proxy_nca",)
    ),
    **dict.fromkeys(
        ("margin_alpha", "margin_beta", "margin_beta_per", "margin_nu"), ("margin",)
    ),
    **dict.fromkeys(("hdc_ratios", "hdc_pairs"), ("hdc",)),
    **dict.fromkeys(
        ("bier_boosting", "bier_negative_cost", "adversarial_weight")
        + ("adversarial_form", "adversarial_norm_weight"),
        ("bier",),
    ),
    **dict.fromkeys(("proxy_anchor_scale", "proxy_anchor_margin"), ("proxy_anchor",)),
    **{
        f"multi_similarity_{name}": ("multi_similarity",)
        for name in ("alpha", "beta", "base", "epsilon")
    },
}
DISTANCES = ("squared", "plain")
REDUCTIONS = ("mean", "published")


def loss_of(ensemble: str) -> str:
    """The metric loss of an ensemble, where none is named."""
    return _OF_ENSEMBLE.get(ensemble, _OF_OTHERS)


@dataclasses.dataclass(frozen=True)
class LossConfig(DivergenceConfig, ClassifierConfig):
    """The metric and the divergence loss, and their balance."""

    metric_loss: str | None = option(
        None,
        "what each learner minimises beside the divergence: the paper's contrastive "
        "loss, or one that it is compared with (docs/losses.md); where none is given "
        "that of the ensemble: hdc, bier, or contrastive for the others",
        choices=METRIC_LOSSES,
    )
    margin_contrastive: float = option(
        1.0, "negatives farther apart than this cost nothing", lower=0
    )
    margin_addons: float = option(
        1.0,
        "margin of triplet_semihard and lifted_struct, TensorFlow Addons' default",
        lower=0,
    )
    contrastive_hinge: str = option(
        "linear",
        "how contrastive grows: D and [margin - D]+ as in the paper, or the squares of "
        "the plain distance and of its hinge, the form of 2016",
        choices=("linear", "squared"),
    )
    embedding_norm: str = option(
        "unit",
        "what the metric loss sees of learners: unit length, or any as lifted_struct, "
        "npairs, angular and triplet_hard were published. Retrieval and export are of "
        "unit length",
        choices=("unit", "free"),
    )
    norm_weight: float = option(
        NORM_WEIGHT,
        "with --embedding_norm=free: half of this times the mean squared length is "
        "added; the N-pairs paper's lambda",
        lower=0,
    )
    npairs_scale: float = option(
        16.0,
        "times the inner products that npairs takes as logits; 1 in the paper, whose "
        "vectors are of any length",
        lower=0,
    )
    angular_degrees: float = option(
        45.0, "alpha of angular, in degrees", lower=0, upper=89
    )
    npairs_weight: float = option(
        0.0,
        "of the N-pairs loss on top of angular; 0.5 is the paper's combination",
        lower=0,
    )
    clustering_gamma: float = option(1.0, "weight of 1 - NMI in clustering", lower=0)
    clustering_decay_factor: float = option(
        1.0,
        "times --clustering_gamma every --clustering_decay_steps; 0.94 in the paper",
        lower=0,
        upper=1,
    )
    clustering_decay_steps: int = option(
        1000, "steps until --clustering_gamma falls again", lower=1
    )
    proxy_positive: str = option(
        "excluded",
        "whether the sum of proxy_nca leaves out the image's own class, as in the "
        "paper, or has it",
        choices=("excluded", "included"),
    )
    proxy_scale: float = option(
        3.0, "times embeddings and proxies of proxy_nca; 1 in the paper", lower=0
    )
    proxy_smoothing: float = option(
        0.0,
        "share of proxy_nca's target that other classes get; with "
        "--proxy_positive=included",
        lower=0,
        upper=0.9,
    )
    margin_alpha: float = option(0.2, "half the width of the border of margin", lower=0)
    margin_beta: float = option(
        1.2, "the border of margin at the start", lower=0, upper=2
    )
    margin_beta_per: str = option(
        "class",
        "whether margin learns a border for each class, or one",
        choices=("class", "one"),
    )
    margin_nu: float = option(0.0, "weight of margin's borders", lower=0)
    proxy_anchor_scale: float = option(32.0, "alpha of proxy_anchor", lower=0)
    proxy_anchor_margin: float = option(0.1, "delta of proxy_anchor", lower=0, upper=2)
    multi_similarity_alpha: float = option(
        2.0, "steepness of multi_similarity's positives", lower=0.001
    )
    multi_similarity_beta: float = option(
        50.0, "steepness of multi_similarity's negatives", lower=0.001
    )
    multi_similarity_base: float = option(
        0.5, "cosine between multi_similarity's positives and negatives"
    )
    multi_similarity_epsilon: float = option(
        0.1, "slack of the pairs that multi_similarity keeps", lower=0
    )
    hdc_ratios: tuple[float, ...] = option(
        (1.0, 0.5, 0.2),
        "share of the pairs, the hardest, that hdc leaves to each learner, not rising, "
        "with commas between; learners beyond the last take the last",
        lower=0,
        upper=1,
    )
    hdc_pairs: str = option(
        "cascade",
        "whether a learner of hdc chooses among the pairs that the one before it has "
        "kept, as in the paper, or all as released: ranked anew, negatives twice and "
        "ten times as dear",
        choices=("cascade", "released"),
    )
    bier_boosting: str = option(
        "frank_wolfe",
        "how bier weights a pair for a learner by those before it: the paper's steps, "
        "or the simple ones that the authors' program has by default",
        choices=("frank_wolfe", "simple"),
    )
    bier_negative_cost: float = option(
        25.0, "how much steeper bier's pairs of two classes are", lower=0
    )
    adversarial_weight: float = option(
        0.0,
        "weight of what keeps bier's learners apart; with it this is A-BIER, where "
        "5e-5 was used for Stanford Online Products",
        lower=0,
    )
    adversarial_form: str = option(
        "adversarial",
        "adversarial (networks learn to tell one learner from another, which unlearns "
        "that) or activation (products of their outputs are made small)",
        choices=("adversarial", "activation"),
    )
    adversarial_norm_weight: float = option(
        1e5,
        "how much matrices are drawn to unit length, times --adversarial_weight; as "
        "used for Stanford Online Products",
        lower=0,
    )
    distance: str = option(
        "squared",
        "what contrastive, triplet_semihard and divergence measure: squared Euclidean "
        "distance as in the paper, or the plain distance",
        choices=DISTANCES,
    )
    loss_reduction: str = option(
        "mean",
        "how contrastive and divergence are reduced: means over pairs (the contrastive "
        "one over active negatives; the divergence times the number of learners), or "
        "the sums that the paper prints",
        choices=REDUCTIONS,
    )

    def of_ensemble(self, ensemble: str) -> LossConfig:
        """The same with the loss of an ensemble, where none is named."""
        if self.metric_loss:
            return self
        return dataclasses.replace(self, metric_loss=loss_of(ensemble))

    @property
    def has_variables(self) -> bool:
        """Whether the metric loss has variables that train."""
        regressors = self.adversarial_weight and self.adversarial_form == "adversarial"
        return (
            bool(regressors)
            or self.classifier_weight > 0
            or self.metric_loss in WITH_VARIABLES
        )

    @property
    def hinged_distance(self) -> str:
        """Which distance the contrastive margin is of."""
        return "plain" if self.contrastive_hinge == "squared" else self.distance

    def check_together(self) -> None:
        """Refuses what no loss has a use for."""
        self._check_settings()
        ratios = self.hdc_ratios
        if not ratios or list(ratios) != sorted(ratios, reverse=True):
            raise InputError(
                "--hdc_ratios must be shares that do not rise. "
                f"Received: {','.join(map(str, ratios))!r}. Use for example 1,0.5,0.2."
            )
        if self.embedding_norm == "free" and self.metric_loss not in _FREE:
            raise InputError(
                f"--embedding_norm=free goes with --metric_loss={'|'.join(_FREE)}. "
                f"Received: --metric_loss={self.metric_loss or _OF_OTHERS}, which is "
                "of vectors of unit length. Leave --embedding_norm out."
            )
        self.check_classifier()
        if not self.adversarial_weight:
            for field in dataclasses.fields(self):
                value = getattr(self, field.name)
                if field.name.startswith("adversarial_") and value != field.default:
                    raise InputError(
                        f"--{field.name} goes with --adversarial_weight above 0. "
                        f"Received: {value} with 0. Give a weight, such as 5e-5."
                    )
        if self.proxy_smoothing and self.proxy_positive == "excluded":
            raise InputError(
                "--proxy_smoothing goes with --proxy_positive=included. "
                f"Received: {self.proxy_smoothing} with excluded."
            )

    def _check_settings(self) -> None:
        """Refuses settings of another loss than the one that is named."""
        named = self.metric_loss
        # Which of them it is, the ensemble tells.
        ours = {named} if named else {_OF_OTHERS, *_OF_ENSEMBLE.values()}
        for field in dataclasses.fields(self):
            losses = _SETTINGS.get(field.name, METRIC_LOSSES)
            value = getattr(self, field.name)
            if not ours.intersection(losses) and value != field.default:
                raise InputError(
                    f"--{field.name} goes with --metric_loss={'|'.join(losses)}. "
                    f"Received: {value} with --metric_loss={named or _OF_OTHERS}. "
                    f"Leave --{field.name} out."
                )
        if self.embedding_norm == "unit" and self.norm_weight != NORM_WEIGHT:
            raise InputError(
                "--norm_weight goes with --embedding_norm=free. "
                f"Received: {self.norm_weight} with unit. Leave --norm_weight out."
            )
