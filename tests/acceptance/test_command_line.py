"""The `reelbase` command run wrong on purpose: one clear line each time, never a traceback."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("reelbase"))


def run(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")}
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=tmp_path,
        env={**clean, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "SUPABASE_URL is not set. Set it in the environment or in .env"),
        ({"SUPABASE_URL": "http://127.0.0.1:1"}, "SUPABASE_SERVICE_ROLE_KEY is not set"),
        ({"SUPABASE_URL": "here"}, "SUPABASE_URL is wrong: must be a project's web address"),
        (
            {
                "SUPABASE_URL": "http://127.0.0.1:1",
                "SUPABASE_SERVICE_ROLE_KEY": "k",
                "REELBASE_TIMEOUT": "0",
            },
            "REELBASE_TIMEOUT is wrong: Input should be greater than 0",
        ),
    ],
)
def test_worker__without_its_settings_names_the_one(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    result = run(tmp_path, "worker", **settings)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("reelbase: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_unknown_command__is_a_usage_error(tmp_path: Path) -> None:
    result = run(tmp_path, "rendr")

    assert result.returncode == 2
    assert "No such command 'rendr'" in result.stderr


def test_help__names_the_commands(tmp_path: Path) -> None:
    result = run(tmp_path, "--help")

    assert result.returncode == 0
    assert "demo" in result.stdout
    assert "worker" in result.stdout


def test_version__is_that_of_the_package(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"reelbase {metadata.version('reelbase')}\n"


@pytest.mark.parametrize("lease", ["0", "86401", "long"])
def test_worker__needs_a_sensible_lease(tmp_path: Path, lease: str) -> None:
    result = run(tmp_path, "worker", "--lease", lease)

    assert result.returncode == 2
    assert "--lease" in result.stderr


@pytest.mark.parametrize("directory", ["/proc/videos", "/dev/null/videos"])
def test_worker__checks_its_directory_before_it_takes_a_job(tmp_path: Path, directory: str) -> None:
    result = run(
        tmp_path,
        "worker",
        "--output-dir",
        directory,
        SUPABASE_URL="http://127.0.0.1:1",
        SUPABASE_SERVICE_ROLE_KEY="k",
    )

    assert result.returncode == 1
    assert result.stderr.startswith(f"reelbase: The directory {directory} cannot be made: ")


def test_demo__will_not_replace_a_source_nor_a_directory(tmp_path: Path) -> None:
    source = tmp_path / "mine.mp4"
    source.write_text("precious")

    replacing = run(tmp_path, "demo", "--source", "mine.mp4", "--output", "mine.mp4")
    directory = run(tmp_path, "demo", "--output", str(tmp_path))

    assert (replacing.returncode, directory.returncode) == (1, 1)
    assert "The output mine.mp4 would replace a source. Name another output." in replacing.stderr
    assert "is a directory. Name a file in it." in directory.stderr
    assert source.read_text() == "precious"
