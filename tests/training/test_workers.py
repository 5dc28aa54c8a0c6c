"""Two real worker processes on loopback share a run, and survive the loss of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from benchmarks.crash import differing
from tests.conftest import ROOT, SMALL

STEPS = 6


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Workers:
    """A training in two processes, whose output goes to files."""

    def __init__(self, photos, workdir, logs):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        logs.mkdir()
        self.logs = [logs / f"{index}.log" for index in range(2)]
        self.processes = []
        for index, log in enumerate(self.logs):
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": addresses}, "task": task}
            with log.open("w") as output:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-u", "-m", "abe_tf.train", *SMALL),
                        *(f"--data_dir={photos}", f"--workdir={workdir}"),
                        *("--validation_classes=0.4", "--classes_per_batch=2"),
                        *(f"--steps={STEPS}", "--log_every=1", "--checkpoint_every=3"),
                        *("--eval_every=6", "--deterministic"),
                        *("--strategy=multi_worker", "--pictures"),
                    ],
                    cwd=ROOT,
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            self.processes.append(process)

    def wait_for(self, text):
        deadline = time.monotonic() + 600
        while text not in self.logs[0].read_text():
            assert time.monotonic() < deadline, self.logs[0].read_text()
            assert self.processes[0].poll() is None, self.logs[0].read_text()
            time.sleep(0.01)

    def statuses(self, timeout=300):
        return [process.wait(timeout) for process in self.processes]

    def output(self, index):
        return self.logs[index].read_text()


@pytest.fixture
def start(photos, tmp_path):
    started = []

    def start(workdir):
        logs = tmp_path / f"logs_{len(started)}"
        started.append(Workers(photos, workdir, logs))
        return started[-1]

    yield start
    for workers in started:
        for process in workers.processes:
            process.kill()


def lose_one(workers):
    workers.wait_for("step 4/")
    workers.processes[1].send_signal(signal.SIGKILL)
    # Without a watch, the others would wait for ever.
    assert workers.statuses() == [1, -signal.SIGKILL]
    last = workers.output(0).splitlines()[-1]
    assert "All workers must stay until the end. Received: one that was lost" in last


def test_a_lost_worker_ends_the_others(start, tmp_path):
    workers = start(tmp_path / "disturbed")
    lose_one(workers)
    assert "2 replicas in 2 process(es) share each batch" in workers.output(0)
    assert "images/s" not in workers.output(1)


@pytest.mark.slow
def test_a_restart_after_a_lost_worker_ends_as_an_undisturbed_run(start, tmp_path):
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    workers = start(whole)
    assert workers.statuses() == [0, 0], workers.output(0)
    lose_one(start(disturbed))
    workers = start(disturbed)
    assert workers.statuses() == [0, 0], workers.output(0)
    assert "Going on after step 3/" in workers.output(0)
    assert differing(str(whole), str(disturbed)) == []
