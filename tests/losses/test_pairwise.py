import numpy as np
import tensorflow as tf

from abe_tf.losses.pairwise import as_distance, squared_distances
from tests.losses.test_addons import needs_addons


@needs_addons
def test_distances_agree_with_tensorflow_addons():
    import tensorflow_addons as tfa

    embeddings = tf.math.l2_normalize(tf.random.stateless_normal([9, 2, 5], [1, 2]), -1)
    squared = squared_distances(embeddings)
    for learner in range(2):
        theirs = tfa.losses.metric_learning.pairwise_distance(embeddings[:, learner])
        plain = as_distance(squared[learner], "plain")
        np.testing.assert_allclose(plain, theirs, atol=1e-5)
