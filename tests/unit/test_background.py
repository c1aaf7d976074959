"""The loop of synchronous clients, whose threads come and go."""

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from reelbase import ClientClosed
from reelbase.realtime.background import BackgroundLoop


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


@pytest.mark.parametrize("_", range(20))
def test_close__leaves_nobody_waiting(_: int) -> None:
    loop = BackgroundLoop()
    assert loop.run(answer()) == 42
    begun = threading.Barrier(5)

    def run_on() -> str:
        begun.wait(5)
        try:
            while True:
                assert loop.run(answer()) == 42
        except (ClientClosed, CancelledError) as error:
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run_on) for _ in range(4)]
        begun.wait(5)
        loop.close()
        ends = {run.result(10) for run in runs}

    assert ends <= {"ClientClosed", "CancelledError"}


def test_coroutine__cannot_wait_for_its_own_loop() -> None:
    loop = BackgroundLoop()

    async def wait_for_itself() -> None:
        loop.run(answer())

    with pytest.raises(RuntimeError, match="cannot wait for it"):
        loop.run(wait_for_itself())
    loop.close()
    with pytest.raises(ClientClosed):
        loop.run(answer())
