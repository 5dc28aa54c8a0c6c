import time

from abe_tf.training.progress import Clock, Console


def test_the_clock_leaves_compilation_and_pauses_out():
    clock = Clock()
    time.sleep(0.2)
    clock.step_done()
    assert clock.seconds_per_step() is None
    with clock.paused():
        time.sleep(0.2)
    clock.step_done()
    assert 0 < clock.seconds_per_step() < 0.1


def test_a_log_gets_plain_lines(capsys):
    scalars = {"loss/total": 3.0, "loss/metric": 2.0, "loss/divergence": 1.0}
    scalars["images_per_second"] = 64.0
    console = Console()
    console.progress(10, 130, scalars, seconds_per_step=0.5)
    console.line("saved")
    assert capsys.readouterr().out == (
        "step 10/130  total 3.0000  metric 2.0000  divergence 1.0000  "
        "64.0 images/s  0:01:00 left\nsaved\n"
    )
