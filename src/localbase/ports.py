"""TCP ports on the loopback interface."""

import errno
import secrets
import socket
from contextlib import suppress

from localbase.errors import LocalbaseError

HOST = "127.0.0.1"
_HIGHEST = 65535
# Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152):
# between the look here and the server's own bind, nobody is given one of these by chance.
_FREE = range(20_000, 32_000)


def claim_port(port: int) -> int:
    """The port itself when nobody listens on it, a free one for 0."""
    if not 0 <= port <= _HIGHEST:
        raise LocalbaseError(f"{port} is no port number.", f"Choose one from 1 to {_HIGHEST}, or 0 for any.")
    if port == 0:
        return _free_port()
    try:
        _bind(port)
    except OSError as error:
        raise port_error(port, error) from error
    return port


def port_error(port: int, error: OSError) -> LocalbaseError:
    """Why a port cannot be had, in a sentence."""
    if error.errno == errno.EADDRINUSE:
        return LocalbaseError(f"Port {port} is in use.", "Stop what listens there, or choose another port.")
    return LocalbaseError(f"Port {port} cannot be used: {error.strerror}.", "Choose another port.")


def _free_port() -> int:
    while True:
        port = secrets.choice(_FREE)
        with suppress(OSError):
            _bind(port)
            return port


def _bind(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
