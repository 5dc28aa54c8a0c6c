import time

from abe_tf.training.progress import Clock, Console, Pace


def test_the_clock_leaves_compilation_and_pauses_out():
    clock = Clock()
    time.sleep(0.2)
    clock.step_done()
    assert clock.report() is None
    with clock.paused():
        time.sleep(0.2)
    clock.step_done()
    assert 0 < clock.report().now < 0.1


def test_the_rate_is_of_now_and_the_time_left_of_the_last_reports(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock()
    clock.step_done()
    for seconds, steps in ((1.0, 40), (3.0, 5), (2.0, 5)):
        for _ in range(steps):
            now[0] += seconds
            clock.step_done()
        pace = clock.report()
    assert pace.now == 2.0
    assert pace.lately == (40 + 15 + 10) / 50
    # Ten reports later the beginning is forgotten.
    for _ in range(10):
        now[0] += 2.0
        clock.step_done()
        pace = clock.report()
    assert pace.lately == 2.0


def test_a_log_gets_plain_lines(capsys):
    scalars = {"loss/total": 3.0, "loss/metric": 2.0, "loss/divergence": 1.0}
    scalars["images_per_second"] = 64.0
    console = Console()
    console.progress(10, 130, scalars, Pace(1.0, 0.5))
    console.line("saved")
    assert capsys.readouterr().out == (
        "step 10/130  total 3.0000  metric 2.0000  divergence 1.0000  "
        "64.0 images/s  0:01:00 left\nsaved\n"
    )
