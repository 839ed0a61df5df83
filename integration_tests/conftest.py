from collections.abc import Iterator

import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.harness import NOW


@pytest.fixture
def account() -> Account:
    return Account(NOW)


@pytest.fixture
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server
