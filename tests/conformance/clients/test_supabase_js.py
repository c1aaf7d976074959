"""supabase-js as it comes from npm, in Node.js."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.clients.access import Access

_SCRIPT = Path(__file__).with_name("client.mjs")
_PACKAGES = Path(__file__).parents[3] / "node_modules"
_CAPABILITIES = [
    *("sign up", "sign out", "sign in", "refresh of the session"),
    *("insert", "select with filters", "update and delete", "rpc", "errors"),
    *("realtime postgres_changes", "realtime broadcast", "realtime private channel", "realtime presence"),
]

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
    pytest.mark.skipif(
        not all((_PACKAGES / name).is_dir() for name in ("@supabase/supabase-js", "ws")),
        reason="supabase-js or ws is not installed: npm install",
    ),
]


def test_every_capability(access: Access) -> None:
    done = subprocess.run(
        ["node", _SCRIPT],
        env={**os.environ, "API_URL": access.url, "API_KEY": access.key},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"ok: {name}" for name in _CAPABILITIES]
