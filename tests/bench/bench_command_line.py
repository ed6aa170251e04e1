"""Measures how long the command line takes until it has something to say, beside the interpreter alone.

    .venv/bin/python tests/bench/bench_command_line.py [--rounds 10]

PEER_SONDA names the command-line binary of another implementation, measured in the same rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCENARIO = """\
version: 2
kind: runnable
scenarios:
  - {id: a, signal_type: metrics, name: a, rate: 10, duration: 100ms, generator: {type: constant, value: 1}}
"""
REACHES = {"sonda --help": "120 ms", "sonda run, first event": "400 ms"}
OURS = str(Path(sys.executable).with_name("sonda"))


def first_output_secs(command: list[str]) -> float:
    """Return how long it takes from the start of a command to its first byte on stdout."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        took = time.perf_counter() - begin
        process.stdout.read()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the start of commands")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(SCENARIO)
        file.flush()
        commands = {"python -c 'print()'": [sys.executable, "-c", "print()"]}
        for name, program in (("sonda", OURS), ("peer", os.environ.get("PEER_SONDA"))):
            if program:
                commands[f"{name} --help"] = [program, "--help"]
                commands[f"{name} --dry-run run, JSON"] = [program, "--dry-run", "--format", "json", "run", file.name]
                commands[f"{name} run, first event"] = [program, "run", file.name]
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                seconds[name].append(first_output_secs(command))
    alone = statistics.median(seconds["python -c 'print()'"])
    print(f"{'until the first byte on stdout':<32} {'median':>9} {'best':>9} {'interpreters':>13}  to reach")
    for name, took in seconds.items():
        median = statistics.median(took)
        reach = REACHES.get(name, "")
        print(f"{name:<32} {median * 1000:>6.0f} ms {min(took) * 1000:>6.0f} ms {median / alone:>13.1f}  {reach}")


if __name__ == "__main__":
    main()
