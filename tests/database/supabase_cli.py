"""The official command line, run in a folder of its own against a database of ours."""

import os
import subprocess
from pathlib import Path

import pytest

from database.servers import CLI, SUPABASE

needs_cli = pytest.mark.skipif(not CLI.exists(), reason="the Supabase CLI is not installed: npm install")


def supabase(workdir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project that has this repository's migrations; the CLI leaves files behind there."""
    folder = workdir / "supabase"
    if not folder.exists():
        folder.mkdir()
        (folder / "config.toml").write_text((SUPABASE / "config.toml").read_text())
        (folder / "migrations").symlink_to(SUPABASE / "migrations")
    return subprocess.run(
        [CLI, *arguments],
        cwd=workdir,
        # Else a warning stands above what it prints: a local database has no TLS.
        env={**os.environ, "DO_NOT_TRACK": "1", "PGSSLMODE": "disable"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
