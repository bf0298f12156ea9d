"""`python -m tests.broker`: a broker in the foreground, its address on standard output, until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.broker.kafka import Broker, NoBroker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.broker", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the log here (default: a temporary folder)")
    parser.add_argument("--heap", default="1g", help="the Java heap (default: 1g)")
    arguments = parser.parse_args()
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    try:
        with Broker(arguments.folder, heap=arguments.heap, quick_start=False) as broker:
            print(broker.address, flush=True)
            end.wait()
    except NoBroker as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
