"""A project in a temporary folder, and the real `localbase` command run in it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIGRATION = """
-- Notes, and a function that greets.
create table public.notes (id int primary key, body text not null);
create function public.hello(name text default 'world') returns text
language sql stable set search_path = ''
as $$ select 'hello; ' || hello.name $$;
"""
SEED = "insert into public.notes values (1, 'seeded');\n"

ANY_PORTS = ("--api-port=0", "--db-port=0")


@dataclass(frozen=True, slots=True)
class Project:
    """A working directory and the commands a user gives in it."""

    workdir: Path
    environment: dict[str, str]

    def add_migration(self, name: str, text: str) -> Path:
        path = self.workdir / "supabase" / "migrations" / name
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "localbase", *arguments],
            cwd=self.workdir,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def start(self, *arguments: str) -> dict[str, str]:
        """Start in the background on free ports; what `status` tells then."""
        done = self.run("start", "--detach", *ANY_PORTS, *arguments)
        assert done.returncode == 0, done.stderr
        return self.status()

    def status(self) -> dict[str, str]:
        done = self.run("status", "--output=json")
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def pid(self) -> int:
        (file,) = Path(self.environment["LOCALBASE_HOME"]).glob(f"{self.workdir.name}-*/stack.json")
        record: dict[str, Any] = json.loads(file.read_text())
        return int(record["pid"])

    def server_pid(self) -> int:
        (file,) = Path(self.environment["LOCALBASE_HOME"]).glob("*/data/pgdata/postmaster.pid")
        return int(file.read_text().splitlines()[0])


def make_project(workdir: Path, home: Path) -> Project:
    (workdir / "supabase" / "migrations").mkdir(parents=True)
    (workdir / "supabase" / "seed.sql").write_text(SEED)
    project = Project(workdir, {**os.environ, "LOCALBASE_HOME": str(home)})
    project.add_migration("20250101000000_notes.sql", MIGRATION)
    return project
