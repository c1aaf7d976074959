"""A durable consumer as a program of its own, which may be killed at any instruction.

    python consumer.py URL KEY FILE

It appends a line for each event that it handles: id, job and `seq`.
"""

import asyncio
import os
import sys
from datetime import timedelta

from reelbase import AsyncReelbase, JobEvent

NAME = "chaos"
LEASE = timedelta(seconds=2)


async def main(url: str, key: str, path: str) -> None:
    """Whatever happens, it goes on by itself."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(event: JobEvent) -> None:
        os.write(file, f"{event.id} {event.job_id} {event.seq}\n".encode())

    async with AsyncReelbase(url, key, timeout=5) as client:
        await client.events.consumer(NAME, lease_time=LEASE).run(handle)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
