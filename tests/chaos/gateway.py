"""The gateway of a stack as a process of its own, which can be killed while Postgres lives on.

    python gateway.py WORKDIR DB_PORT API_PORT

It ends with its owner, who holds the other end of standard input.
"""

import asyncio
import sys
from pathlib import Path

from localbase.gateway import Gateway
from localbase.keys import Keys
from localbase.postgres import DatabaseAddress
from localbase.project import read_project


async def serve(workdir: Path, db_port: int, api_port: int) -> None:
    project = read_project(workdir)
    gateway = Gateway(
        DatabaseAddress(db_port), Keys.local(), api=project.api, auth=project.auth, port=api_port
    )
    await gateway.start()
    try:
        await asyncio.to_thread(sys.stdin.buffer.read)
    finally:
        await gateway.stop()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
