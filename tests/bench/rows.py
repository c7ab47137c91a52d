"""The rows of tests/bench/run: what is run for our side and for the anchor, and the goal."""
import dataclasses
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import Callable

import cluster

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = "build/release/bin"
SIDE_SECONDS_MAX = 300


class Failed(Exception):
    """A side of a row could not be measured."""


def value_of(output, row):
    """The figure of the line `ROW<TAB>VALUE<TAB>UNIT`."""
    for line in output.split("\n"):
        fields = line.split("\t")
        if len(fields) == 3 and fields[0] == row:
            return float(fields[1])
    raise Failed(f"no line '{row}' in the output: {output.strip()[-300:] or 'empty'}")


def run(command, row, env=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SIDE_SECONDS_MAX, env=env)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(str(e)) from e
    if done.returncode != 0:
        raise Failed(f"{command[0]} exited with {done.returncode}: {done.stderr.strip()[-300:]}")
    return value_of(done.stdout, row)


# ---- Erlang

_ebin = None


class Anchors:
    """Compiles the Erlang programs; removes them at the end."""

    def __enter__(self):
        global _ebin
        _ebin = tempfile.mkdtemp(prefix="banyan-bench-")
        folder = os.path.join(HERE, "anchors")
        files = [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".erl")]
        subprocess.run(["erlc", "-o", _ebin, *files], check=True)

    def __exit__(self, *_):
        shutil.rmtree(_ebin, ignore_errors=True)


def size(quick):
    return "quick" if quick else "full"


def erlang_command(*more):
    return ["erl", "-noshell", "-pa", _ebin, "+P", "2000000", "-kernel", "logger_level", "critical", *more]


def erlang_local(row, quick):
    return run(erlang_command("-s", "bench_local", "main", row, size(quick)), row)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def erlang_dist(row, quick):
    """Two nodes on loopback, with a port mapper of their own."""
    port = str(free_port())
    env = dict(os.environ, ERL_EPMD_ADDRESS="127.0.0.1", ERL_EPMD_PORT=port)
    common = ["-setcookie", secrets.token_hex(8), "-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
    processes = [subprocess.Popen(["epmd", "-port", port], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        wait_for_port(int(port))
        processes.append(subprocess.Popen(erlang_command(*common, "-name", "bench_b@127.0.0.1"), env=env,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        return run(erlang_command(*common, "-name", "bench_a@127.0.0.1", "-s", "bench_dist", "main", row,
                                  size(quick), "bench_b@127.0.0.1"), row, env)
    finally:
        for p in reversed(processes):
            stop(p)


def wait_for_port(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed(f"nothing listens on port {port}")


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- ours

def bench_local(row, quick):
    return run([f"{BIN}/bench_local", "--quick" if quick else "--full", row], row)


def with_cluster(nodes, measure):
    try:
        with cluster.Cluster(BIN, nodes) as c:
            return measure(c)
    except (RuntimeError, OSError, cluster.grpc.RpcError) as e:
        raise Failed(f"cluster: {e}") from e


def unary_calls(quick):
    return "20000" if quick else "100000"


def unary_ours(row, quick):
    def calls(c):
        c.start_kv("bench", on=0)
        return run([f"{BIN}/bench_unary", c.address(0), "bench", unary_calls(quick)], row)
    return with_cluster(1, calls)


def unary_echo(row, quick):
    echo = subprocess.Popen([f"{BIN}/bench_echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = echo.stdout.readline().strip()
        return run([f"{BIN}/bench_unary", f"127.0.0.1:{port}", "bench", unary_calls(quick)], row)
    finally:
        echo.stdin.close()
        echo.wait()


def node_calls(row, quick):
    return with_cluster(2, lambda c: c.node_calls(callers=64, calls_each=500 if quick else 2000))


def node_kill(row, quick):
    return with_cluster(2, lambda c: c.kill_to_down_ms())


@dataclasses.dataclass
class Row:
    name: str
    unit: str
    goal: float  # of ours/anchor
    more_is_better: bool
    ours: Callable[[str, bool], float]
    anchor: Callable[[str, bool], float]
    targets: list[str]

    def goal_text(self):
        return f"{'>=' if self.more_is_better else '<='} {self.goal:g}"


NODE = ["banyand", "bench_node"]
ROWS = [
    Row("bytes_per_idle_actor", "B", 0.25, False, bench_local, erlang_local, ["bench_local"]),
    Row("local_call", "call/s", 2, True, bench_local, erlang_local, ["bench_local"]),
    Row("ping_pong_pairs", "msg/s", 3, True, bench_local, erlang_local, ["bench_local"]),
    Row("start_child", "child/s", 5, True, bench_local, erlang_local, ["bench_local"]),
    Row("restart_p50", "us", 0.5, False, bench_local, erlang_local, ["bench_local"]),
    Row("node_calls_64", "call/s", 4, True, node_calls, erlang_dist, NODE),
    Row("unary_call_64", "call/s", 0.85, True, unary_ours, unary_echo, NODE + ["bench_echo", "bench_unary"]),
    Row("node_kill_to_down", "ms", 0.75, False, node_kill, erlang_dist, NODE),
]
