"""How long `localbase start` takes to its first answer, on new and on existing data."""

import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from stack import LOCALBASE, ROOT


def start() -> None:
    print("\nFrom `localbase start --detach` to the first answered request\n")
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        workdir, data = Path(scratch) / "project", Path(scratch) / "data"
        workdir.mkdir()
        (workdir / "supabase").symlink_to(ROOT / "supabase")
        for name in ("new data", "existing data"):
            print(f"{name:22} {seconds(workdir, data):7.2f} s")


def seconds(workdir: Path, data: Path) -> float:
    where = ["--workdir", str(workdir)]
    ports = ["--api-port", "0", "--db-port", "0", "--data-dir", str(data)]
    began = time.perf_counter()
    subprocess.run([LOCALBASE, "start", *where, *ports, "--detach"], check=True, stdout=subprocess.DEVNULL)
    try:
        status = subprocess.run(
            [LOCALBASE, "status", *where, "-o", "env"], check=True, capture_output=True, text=True
        ).stdout
        url = status.split('API_URL="', 1)[1].split('"', 1)[0]
        with urllib.request.urlopen(f"{url}/health") as answer:  # noqa: S310  # our own, on loopback
            assert answer.status == 200
        return time.perf_counter() - began
    finally:
        subprocess.run([LOCALBASE, "stop", *where], check=True, stdout=subprocess.DEVNULL)
