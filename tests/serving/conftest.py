"""The server that is tested: the local one, or another with --server_url."""

import socket
import subprocess
import sys
import time

import pytest
import requests

from tests.conftest import ROOT
from tests.serving import contract_model


class Served:
    """A local server in a process of its own."""

    def __init__(self, folder, *flags, name="contract"):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1/models/{name}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "export.local_server"),
                *(f"--model_dir={folder}", f"--port={self.port}"),
                *(f"--model_name={name}", *flags),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first_line = self.process.stdout.readline()
        for _ in range(300):
            try:
                requests.get(self.url, timeout=5)
            except requests.ConnectionError:
                time.sleep(0.2)
            else:
                return
        raise RuntimeError("The server did not start.")

    def memory(self):
        """In megabytes."""
        with open(f"/proc/{self.process.pid}/status") as file:
            (line,) = [line for line in file if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=30) in (0, -15)


@pytest.fixture(scope="session")
def contract_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract")
    contract_model.write(str(folder))
    return folder


@pytest.fixture(scope="session")
def served(contract_folder, request):
    if request.config.getoption("--server_url"):
        pytest.skip("--server_url names another server, whose process is not ours")
    server = Served(contract_folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def url(request):
    """Address of the model `contract`, without its verb."""
    other = request.config.getoption("--server_url")
    if other:
        return f"{other.rstrip('/')}/v1/models/contract"
    return request.getfixturevalue("served").url
