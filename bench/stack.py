"""An ephemeral localbase in a process of its own."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCALBASE = str(Path(sys.executable).with_name("localbase"))


@contextlib.contextmanager
def stack() -> Iterator[dict[str, str]]:
    """Yields what `localbase status -o env` prints."""
    with tempfile.TemporaryDirectory() as workdir:
        (Path(workdir) / "supabase").symlink_to(ROOT / "supabase")
        where = ["--workdir", workdir]
        command = [LOCALBASE, "start", *where, "--ephemeral", "--detach", "--api-port", "0", "--db-port", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            status = subprocess.run(
                [LOCALBASE, "status", *where, "-o", "env"], check=True, capture_output=True, text=True
            )
            yield dict(line.replace('"', "").split("=", 1) for line in status.stdout.splitlines())
        finally:
            subprocess.run([LOCALBASE, "stop", *where], check=True, stdout=subprocess.DEVNULL)
