"""Writes report.html with every picture of one run, or of several side by side.

python -m abe_tf.report --workdir=runs/digits_abe4
python -m abe_tf.report --workdir=runs/a --workdir=runs/b --report_dir=runs/a_and_b
"""

from __future__ import annotations

import os

from abe_tf.config import command
from abe_tf.config.evaluation import (
    CheckpointConfig,
    EvaluationConfig,
    ReportConfig,
    SplitConfig,
)
from abe_tf.runs.folder import RunFolder
from abe_tf.storage.files import check_writable, write_atomically


def main(
    report: ReportConfig,
    checkpoint: CheckpointConfig,
    split: SplitConfig,
    evaluation: EvaluationConfig,
) -> None:
    """Measures each run, draws, and writes the page."""
    folder = report.folder()
    check_writable("report_dir", folder)
    folders = [RunFolder(path) for path in report.workdir]
    trained = [run for run in folders if os.path.isfile(run.flagfile)]
    for run in trained:
        split.moved(run.flags().data).check_paths()
        run.with_checkpoints(checkpoint.checkpoint)
    # From here on TensorFlow is needed, which takes seconds to import.
    from abe_tf.errors import InputError
    from abe_tf.reports import measured, page, pictures

    # Before the work: a file that is damaged is told at once.
    sweeps = {path: pictures.factors_of(path) for path in report.sweeps()}
    told = [measured.Told.of(run, split.split) for run in trained]
    drawn: list[pictures.Picture] = []
    reports = []
    for number, (run, said) in enumerate(zip(trained, told, strict=True), 1):
        print(f"[{number}/{len(trained)}] {run.path}", flush=True)
        of_run = measured.gather(run, said, checkpoint.checkpoint, split, evaluation)
        reports.append(of_run)
        drawn += pictures.of_run(of_run)
    if reports:
        drawn = [*pictures.of_all(reports), *drawn]
    for path, factors in sweeps.items():
        drawn += pictures.of_sweep(path, factors)
    if not drawn:
        raise InputError(
            "--workdir must be a run folder or the folder of a sweep. "
            f"Received: {', '.join(report.workdir)}."
        )
    for picture in drawn:
        path = os.path.join(folder, "pictures", f"{picture.name}.png")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, picture.png)
    path = os.path.join(folder, "report.html")
    write_atomically(path, page.render(reports, drawn))
    print(f"report: {path}")


if __name__ == "__main__":
    command.run(main, ReportConfig, CheckpointConfig, SplitConfig, EvaluationConfig)
