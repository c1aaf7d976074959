"""Projects in temporary folders."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.localbase.projects import Project, make_project
from localbase.pytest_plugin import LocalStack
from localbase.testing import Cluster, running_cluster


@pytest.fixture(scope="session")
def localbase_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server without any migration, so that these tests know nothing of the repository's own."""
    with running_cluster(tmp_path_factory.mktemp("empty")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def localbase_shared(localbase_cluster: Cluster) -> Iterator[LocalStack]:
    """Of that server: the plugin's own fixture is made once, for whichever server is asked for first."""
    with localbase_cluster.stack() as stack:
        yield stack


@pytest.fixture
def home() -> Iterator[Path]:
    """A place for data that the user who runs Postgres can enter: pytest closes its own folders to others."""
    with tempfile.TemporaryDirectory(prefix="test-localbase-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def project(home: Path) -> Iterator[Project]:
    project = make_project(home / "demo", home)
    yield project
    project.run("stop")


@pytest.fixture
def other_project(home: Path) -> Iterator[Project]:
    project = make_project(home / "other", home)
    yield project
    project.run("stop")
