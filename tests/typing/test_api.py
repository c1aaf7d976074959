"""mypy agrees with tests/typing/api.py. pyright reads it in `make check`."""

from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]


def test_types__are_inferred_as_written() -> None:
    report, errors, status = api.run(
        ["--config-file", str(ROOT / "pyproject.toml"), str(Path(__file__).with_name("api.py"))]
    )

    assert (errors, status) == ("", 0), report
