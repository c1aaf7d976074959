"""A child process that was forked while its parent was reading."""

import subprocess
import sys

PROGRAMME = """
import os, threading, warnings
from reelbase.cache.flights import Flights
from reelbase.cache.memory import Memory
from reelbase.execution.call import Call
from reelbase.execution.deadline import Deadline

warnings.simplefilter("ignore")
memory = Memory(10, 10_000)
flights = Flights(memory.holds)
deadline = Deadline(Call("get_job", {}, str), 20)
reading, landing = threading.Event(), threading.Event()

def fetch(born):
    with memory._lock:
        reading.set()
        landing.wait()
    return "parent"

reader = threading.Thread(target=flights.read, args=("key", (), memory.moment, fetch, deadline))
reader.start()
reading.wait()
child = os.fork()
if child == 0:
    memory.invalidate(["job"])
    assert flights.read("key", (), memory.moment, lambda born: "child", deadline) == ("child", False)
    os._exit(0)
_, status = os.waitpid(child, 0)
landing.set()
reader.join()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process__waits_for_nobody() -> None:
    subprocess.run([sys.executable, "-c", PROGRAMME], check=True, timeout=30)
