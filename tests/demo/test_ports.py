from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from coe.demo.ports import reserve_port
from tests.factories.ports import free_port

RESERVE = """
import sys
from coe.demo.ports import reserve_port

print(reserve_port(map(int, sys.argv[1:])))
"""


def test_a_reserved_port_is_not_given_to_another_process() -> None:
    first, second = free_port(), free_port()
    again = [str(first), str(second)]
    taken = subprocess.run(
        [sys.executable, "-c", RESERVE, *again], capture_output=True, text=True, check=False
    )
    assert taken.returncode == 1
    assert "no free port" in taken.stderr


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="no free port"):
            reserve_port([port])


def test_a_process_that_ends_gives_its_port_back(tmp_path: Path) -> None:
    port = str(free_port())  # the locks of this test are in another folder
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", RESERVE, port],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == port
