"""What asyncio does not say about tasks itself."""

import asyncio


def is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
