"""Makes happen what the plan says."""

import asyncio
import signal
import time

from chaos.consuming import ConsumerProcess
from chaos.plan import Fault, Plan, What
from chaos.stack import Stack
from chaos.tokens import Tokens
from chaos.wire import Wire

_STOPS = {What.POSTGRES_FAST: signal.SIGINT, What.POSTGRES_IMMEDIATE: signal.SIGQUIT}


class Storm:
    """`run` ends when the plan does, with every part in working order."""

    def __init__(self, stack: Stack, wire: Wire, consumer: ConsumerProcess, tokens: Tokens) -> None:
        self._stack = stack
        self._wire = wire
        self._consumer = consumer
        self._tokens = tokens

    async def run(self, plan: Plan) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as parts:
            for part, faults in plan.items():
                parts.create_task(self._strike(faults, began), name=f"chaos-{part}")
        await self._wire.heal()

    async def _strike(self, faults: list[Fault], began: float) -> None:
        for fault in faults:
            await asyncio.sleep(began + fault.at - time.monotonic())
            await self._apply(fault)

    async def _apply(self, fault: Fault) -> None:
        match fault.what:
            case What.GATEWAY_KILLED:
                self._stack.kill_gateway()
                await asyncio.sleep(fault.seconds)
                await self._stack.start_gateway()
            case What.POSTGRES_FAST | What.POSTGRES_IMMEDIATE:
                await self._stack.stop_postgres(_STOPS[fault.what])
                await asyncio.sleep(fault.seconds)
                await self._stack.start_postgres()
            case What.POSTGRES_CRASH:
                await self._stack.crash_postgres()
            case What.CONSUMER_KILLED:
                self._consumer.kill()
                await asyncio.sleep(fault.seconds)
                self._consumer.start()
            case What.TOKENS_REFUSED:
                self._tokens.refused = True
                await asyncio.sleep(fault.seconds)
                self._tokens.refused = False
            case _:
                await self._disturb(fault)

    async def _disturb(self, fault: Fault) -> None:
        """What happens to the wire."""
        match fault.what:
            case What.CUT:
                self._wire.cut()
                await asyncio.sleep(fault.seconds)
                await self._wire.restore()
            case What.RESET:
                self._wire.reset(fault.share)
            case What.STALL:
                self._wire.stall(fault.share)
                await asyncio.sleep(fault.seconds)
                self._wire.flow()
            case What.GARBLE:
                self._wire.garble(fault.trick, fault.messages)
