"""A durable consumer as a program of its own, which may be killed at any instruction.

    python consumer.py URL KEY FILE

It appends a line for each event that it handles: id, job and `seq`.
"""

import os
import sys
import time
from datetime import timedelta
from uuid import uuid4

from reelbase import Conflict, LeaseLost, Reelbase, ReelbaseError

NAME = "chaos"
LEASE = timedelta(seconds=2)
PAUSE = 0.2


def consume(client: Reelbase, file: int) -> None:
    """From where the last instance stopped, until the lease is lost."""
    consumer = client.consumers.acquire(NAME, str(uuid4()), lease_time=LEASE)
    cursor = consumer.cursor
    while True:
        page = client.events.read_all(after=cursor, max_events=100)
        for event in page.items:
            os.write(file, f"{event.id} {event.job_id} {event.seq}\n".encode())
        cursor = page.next_cursor
        client.consumers.commit(NAME, consumer.lease, cursor=cursor, lease_time=LEASE)
        if not page.more:
            time.sleep(PAUSE)


def main(url: str, key: str, path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Reelbase(url, key, timeout=5) as client:
        while True:
            try:
                consume(client, file)
            except (Conflict, LeaseLost):
                pass  # the lease of the one that was killed has not run out yet
            except ReelbaseError as error:
                if not error.transient:
                    raise
            time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
