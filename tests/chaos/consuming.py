"""The durable consumer's process: started, killed, and read by its file."""

import subprocess
import sys
from pathlib import Path
from typing import Self
from uuid import UUID

from chaos import consumer
from chaos.listeners import Entry, Listener, of_all
from support import Target


class ConsumerProcess:
    """Use as `with`."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._command = [sys.executable, consumer.__file__, target.url, target.service_role_key]
        self._file = folder / "consumed"
        self._log = folder / "consumer.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._file.touch()
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._command, self._file], stdout=log, stderr=log)

    def kill(self) -> None:
        """At whatever instruction it is."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            assert process.wait() < 0, f"the consumer ended by itself: {self._log.read_text()}"

    def heard(self) -> Listener:
        """What it has handled by now, each event once: that it handles some again is its contract."""
        first: dict[str, Entry] = {}
        for line in self._file.read_text().splitlines():
            number, job, seq = line.split()
            first.setdefault(number, (UUID(job), int(seq)))
        return Listener("consumer", of_all, list(first.values()))
