"""Embeds very many photos by an exported model, with Apache Beam.

python -m abe_tf.embed --model_dir=MODEL --input='PHOTOS/**' --output=OUT/photos
python -m abe_tf.embed ... -- --direct_running_mode=multi_processing \
    --direct_num_workers=4                             four processes, a model each

Needs the environment of requirements-bulk.txt.
"""

from __future__ import annotations

import sys

from abe_tf.config import command
from abe_tf.config.bulk import EmbedConfig
from abe_tf.data.photos import LeftOut, tell_left_out
from abe_tf.errors import InputError


def main(config: EmbedConfig, flags_of_beam: list[str]) -> None:
    """Embeds, and says what was embedded and what was not."""
    try:
        import apache_beam  # noqa: F401
    except ImportError as error:
        raise InputError(
            "abe_tf.embed needs Apache Beam. Received: an environment without it. Make "
            "one: python3.11 -m venv .venv-bulk && .venv-bulk/bin/pip install "
            "--require-hashes -r requirements-bulk.txt."
        ) from error
    from abe_tf.bulk import pipeline

    outcome = pipeline.run(config, flags_of_beam)
    manifest = outcome.manifest
    broken = [
        LeftOut(path, f"cannot be read ({reason})") for path, reason in outcome.broken
    ]
    tell_left_out([*broken, *outcome.left_out], "/")
    if not config.quiet:
        done = f", {outcome.before:,} of them before" if outcome.before else ""
        print(
            f"{manifest.photos - len(broken):,} photos embedded, {len(broken):,} "
            f"cannot be read; {manifest.shards:,} shards{done}: {config.output}-*"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    command.run(main, EmbedConfig, with_arguments=True)
