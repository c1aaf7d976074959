"""What reelbase costs, beside a floor in the same run.

    make bench                   all of it
    make bench ARGS=latency      one part: calls, cache, latency, rpc, claims, batches, flood, watchers, start

Everything runs on an ephemeral localbase on this machine, so client and server share its cores. Times are
medians; CPU is the client process's own (user and system) per call, the server being another process.
"""

import argparse
import asyncio

from batches import batches
from cache import cache
from calls import calls
from claims import claims
from flood import flood
from latency import latency
from rpc import rpc
from stack import stack
from start import start
from watchers import watchers

PARTS = ("calls", "cache", "latency", "rpc", "claims", "batches", "flood", "watchers", "start")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure reelbase beside floors.")
    parser.add_argument("part", nargs="?", choices=[*PARTS, "all"], default="all")
    chosen = parser.parse_args().part
    parts = PARTS if chosen == "all" else (chosen,)
    with stack() as settings:
        if "calls" in parts:
            calls(settings)
        if "cache" in parts:
            cache(settings)
        if "latency" in parts:
            asyncio.run(latency(settings))
        if "rpc" in parts:
            rpc(settings)
        if "claims" in parts:
            claims(settings)
        if "batches" in parts:
            batches(settings)
        if "flood" in parts:
            asyncio.run(flood(settings))
        if "watchers" in parts:
            asyncio.run(watchers(settings))
    if "start" in parts:
        start()


if __name__ == "__main__":
    main()
