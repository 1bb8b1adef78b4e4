"""The whole suite runs with every connection refused but those to this machine: tests/no_network.py."""

import socket
import subprocess
import sys
import threading

import no_network
import pytest

ASK = "import socket; socket.create_connection(('198.51.100.1', 80), timeout=1)"
NAME = "import socket; socket.getaddrinfo('example.org', 443)"
HUB = "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('https://example.org')"


@pytest.mark.parametrize("code", [ASK, NAME])
def test_nothing_beyond_this_machine_is_reached(code):
    with pytest.raises(no_network.NetworkError, match="no test may reach beyond this machine"):
        exec(code)


def test_nothing_is_sent_without_a_connection():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, pytest.raises(no_network.NetworkError):
        one.sendto(b"x", ("198.51.100.1", 53))


@pytest.mark.parametrize(
    "code",
    [ASK, NAME, HUB, f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {ASK!r}]))"],
)
def test_neither_is_by_processes_that_tests_start(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode
    assert "no test may reach beyond this machine" in done.stderr


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].sendall(b"here"))
        thread.start()
        with socket.create_connection(server.getsockname()[:2]) as one:
            assert one.recv(4) == b"here"
        thread.join()
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"
    assert socket.getaddrinfo("localhost", 80)
