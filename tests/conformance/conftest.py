"""A database server and gateways without any migration of the repository, for all recordings."""

from collections.abc import Iterator

import pytest

from localbase.pytest_plugin import LocalStack
from localbase.testing import Cluster, running_cluster

_CONFIG = """
[api]
schemas = ["public"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `-k` select a group or a priority, too."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            for recording in item.callspec.params.values():
                item.extra_keyword_matches.update(getattr(recording, "keywords", ()))


@pytest.fixture(scope="session")
def localbase_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that exposes the schema public only, as the recorded one did."""
    project = tmp_path_factory.mktemp("conformance")
    folder = project / "supabase"
    folder.mkdir()
    (folder / "config.toml").write_text(_CONFIG)
    with running_cluster(project) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def localbase_shared(localbase_cluster: Cluster) -> Iterator[LocalStack]:
    """Of that server: the plugin's own fixture is made once, for whichever server is asked for first."""
    with localbase_cluster.stack() as stack:
        yield stack
