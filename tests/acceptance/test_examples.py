"""The README's program and the examples, run as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import Target

pytestmark = pytest.mark.local_stack
ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def environment(own_target: Target, tmp_path: Path) -> dict[str, str]:
    settings = {
        # On a busy machine calls are slow, and are said to be.
        "REELBASE_SLOW_CALL": "60",
        "SUPABASE_URL": own_target.url,
        "SUPABASE_SERVICE_ROLE_KEY": own_target.service_role_key,
        "DATABASE_URL": own_target.db_url,
    }
    return {**os.environ, **settings, "HOME": str(tmp_path)}


@pytest.fixture
def _worker(environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "reelbase", "worker", "--output-dir", str(tmp_path)]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    yield
    process.terminate()
    assert process.wait(30) == 130, (tmp_path / "worker.log").read_text()


@pytest.mark.usefixtures("_worker")
@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.stem)
def test_example__runs(program: Path, environment: dict[str, str], tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(program)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert "completed" in result.stdout
    assert tmp_path.as_uri() in result.stdout


def test_readme__shows_the_first_example() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)

    assert shown == [(ROOT / "examples" / "render_and_watch.py").read_text()]
