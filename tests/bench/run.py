"""Runs every bench script beside this file and passes on what it prints; asserts nothing.

make bench                            all of them
make bench ARGS="--only server"       bench_server.py alone
PEER_SERVER=/path/to/sonda-server …   with another server of the same API as a yardstick
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> int:
    scripts = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    parser = argparse.ArgumentParser(description="measure this machine")
    parser.add_argument("--only", default=",".join(scripts), help="comma list of " + ", ".join(scripts))
    names = parser.parse_args().only.split(",")
    print(f"{processor()}, {len(os.sched_getaffinity(0))} processors, Python {platform.python_version()}")
    print(f"load before the run: {os.getloadavg()[0]:.2f}; figures are good only on an idle machine", flush=True)
    failed = []
    for name in names:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, scripts[name]], check=False).returncode != 0:
            failed.append(name)
    for name in failed:
        print(f"\n{name}: did not finish", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
