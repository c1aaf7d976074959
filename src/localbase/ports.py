"""TCP ports on the loopback interface."""

import errno
import socket

from localbase.errors import LocalbaseError

HOST = "127.0.0.1"
_HIGHEST = 65535


def claim_port(port: int) -> int:
    """The port itself when nobody listens on it, a free one for 0."""
    if not 0 <= port <= _HIGHEST:
        raise LocalbaseError(f"{port} is no port number.", f"Choose one from 1 to {_HIGHEST}, or 0 for any.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise port_error(port, error) from error
        claimed: int = probe.getsockname()[1]
        return claimed


def port_error(port: int, error: OSError) -> LocalbaseError:
    """Why a port cannot be had, in a sentence."""
    if error.errno == errno.EADDRINUSE:
        return LocalbaseError(f"Port {port} is in use.", "Stop what listens there, or choose another port.")
    return LocalbaseError(f"Port {port} cannot be used: {error.strerror}.", "Choose another port.")
