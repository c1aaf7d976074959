""".env.example lists every setting, and nothing else."""

import re
from pathlib import Path

from reelbase import Settings

ROOT = Path(__file__).parents[2]
OTHERS: set[str] = set()


def test_env_example__lists_every_setting() -> None:
    listed = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    of_client = {name.upper() for name in Settings.model_fields}
    of_localbase = {
        name
        for module in (ROOT / "src" / "localbase").rglob("*.py")
        for name in re.findall(r'"(LOCALBASE_[A-Z_]+)"', module.read_text())
    }

    assert listed == of_client | of_localbase | OTHERS
