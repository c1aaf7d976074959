"""Keeps a Postgres server exactly as long as its owner lives. Run as a program of its own.

    python guardian.py UID GID POSTGRES [ARGUMENT …]     (UID and GID may be "-")

The owner holds the other end of standard input. When that closes, because the owner asks for a stop or
because it was killed, the server is shut down. A pipe works on every Unix and from every thread, which the
kernel's parent-death signal does not.
"""

import os
import signal
import subprocess
import sys
import threading

# Fast shutdown, then immediate shutdown (recovery at the next start), then the end.
_ESCALATION = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, None))


def main(uid: str, gid: str, *command: str) -> None:
    server = subprocess.Popen(  # noqa: S603  the caller names the Postgres installation's own program
        command,
        stdin=subprocess.DEVNULL,
        cwd="/",
        user=None if uid == "-" else int(uid),
        group=None if gid == "-" else int(gid),
        extra_groups=None if gid == "-" else [],
    )
    threading.Thread(target=_end_with, args=(server,), name="guardian-wait", daemon=True).start()
    sys.stdin.buffer.read()
    _stop(server)


def _end_with(server: subprocess.Popen[bytes]) -> None:
    os._exit(min(abs(server.wait()), 255))


def _stop(server: subprocess.Popen[bytes]) -> None:
    for how, patience in _ESCALATION:
        server.send_signal(how)
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    main(*sys.argv[1:])
