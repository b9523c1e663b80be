"""The CoE contender of `api.py`: the API as `coe up` serves it, over a database that is ready.

Its loops are off, for they would count as time of the requests.
"""

from __future__ import annotations

import sys
from pathlib import Path

from coe.app import create_app
from coe.processes.serving import serve
from coe.settings import Settings

if __name__ == "__main__":
    url, port, folder = sys.argv[1:]
    settings = Settings(
        database_url=url, data_dir=Path(folder), port=int(port), loops=False, log_level="WARNING"
    )
    serve(create_app(settings), settings)
