"""Which ports a stack takes."""

import socket

import pytest

from localbase.errors import LocalbaseError
from localbase.ports import HOST, claim_port

# Systems give outgoing connections a port from here on: Linux does, others begin higher.
LOWEST_OF_SYSTEM = 32_768


def test_free_port__is_none_that_the_system_gives_away() -> None:
    assert all(1023 < claim_port(0) < LOWEST_OF_SYSTEM for _ in range(200))


def test_chosen_port__is_itself_until_it_is_taken() -> None:
    port = claim_port(0)
    assert claim_port(port) == port

    with socket.create_server((HOST, port)), pytest.raises(LocalbaseError, match=f"Port {port} is in use"):
        claim_port(port)
