"""One real OpenBao, one real bridge, and the wrapper, for all tests that want them."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from cli.dev.stack import POLICY, DevStack
from tests.support.launcher import Launcher

# A busy machine stalls for longer than hypothesis allows one example by default; pytest-timeout is the limit.
settings.register_profile("strongroom", deadline=None)
settings.load_profile("strongroom")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevStack]:
    policy = POLICY.replace('["kv/shop/**"]', '["kv/shop/**", "kv1/shop/**"]')
    with DevStack(tmp_path_factory.mktemp("stack"), policy=policy) as running:
        running.openbao.admin.enable_kv("kv1", version=1)
        running.openbao.admin.write_policy(
            "strongroom-bridge",
            'path "kv/*" { capabilities = ["read"] }\npath "kv1/*" { capabilities = ["read"] }\n',
        )
        yield running


@pytest.fixture
def launcher(stack: DevStack) -> Launcher:
    return Launcher(stack)
