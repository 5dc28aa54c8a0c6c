"""The server that is tested: the local one, or another with --server_url."""

import pytest

from tests.export.server import contract_model
from tests.helpers.served import Served


@pytest.fixture(scope="session")
def contract_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract")
    contract_model.write_all(str(folder))
    return folder


@pytest.fixture(scope="session")
def served(contract_folder, request):
    if request.config.getoption("--server_url"):
        pytest.skip("--server_url names another server, whose process is not ours")
    server = Served(contract_folder, name="contract")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def url(request):
    """Address of the model `contract`, without its verb."""
    other = request.config.getoption("--server_url")
    if other:
        return f"{other.rstrip('/')}/v1/models/contract"
    return request.getfixturevalue("served").url
