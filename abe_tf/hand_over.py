"""Hands an index over to a database, or into files that other engines read.

python -m abe_tf.hand_over --index=INDEX --to=pgvector --at=postgresql://HOST/DATABASE
python -m abe_tf.hand_over --index=INDEX --to=qdrant --at=http://localhost:6333
python -m abe_tf.hand_over --index=INDEX --to=parquet --at=out/photos --since_last
"""

from __future__ import annotations

from abe_tf.config import command
from abe_tf.config.bulk import HandOverConfig
from abe_tf.config.index import IndexConfig
from abe_tf.engines.handing_over import hand_over
from abe_tf.photo_index import answers


def main(index: IndexConfig, config: HandOverConfig) -> None:
    """Hands over, and says what went over and how it is asked."""
    outcome = hand_over(index.require(), config)
    if not config.quiet:
        if outcome.removed is None:
            told = f"{outcome.sent:,} rows written"
        else:
            told = f"{outcome.sent:,} handed over, {outcome.removed:,} taken out"
        print(f"{told}; it holds the {outcome.total:,} contents of the index")
        print(outcome.how)
    answers.tell_unreadable(outcome.unreadable)


if __name__ == "__main__":
    command.run(main, IndexConfig, HandOverConfig)
