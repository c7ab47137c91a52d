"""Server processes of a test, and who of them owns a connection."""
import json
import os
import re
import signal
import socket
import subprocess
import time

START_SECONDS_MAX = 30
END_SECONDS_MAX = 15
MAPPED = "0000000000000000FFFF00000100007F"  # 127.0.0.1 as gRPC's sockets have it
BAD_WORDS = ("Sanitizer", "runtime error:", "invariant broken")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, probe, seconds, every=0.02):
    """The first true answer of `probe`, which is asked again and again. TimeoutError names `what`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := probe():
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


class Server:
    """One banyand; `pid` is the process that serves, a child of its watcher on a node."""

    def __init__(self, name, program, args, log, env=None):
        self.name, self.log_path = name, log
        self._log = open(log, "wb")
        self.process = subprocess.Popen([program, *args], stdout=self._log, stderr=subprocess.STDOUT,
                                        env={**os.environ, **(env or {})}, start_new_session=True)
        self.pid = None

    def text(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode(errors="replace")

    def lines(self, event):
        """The log's JSON lines of one event."""
        return [json.loads(line) for line in self.text().splitlines() if f'"{event}"' in line and line[0] == "{"]

    def wait_serving(self):
        def serves():
            match = re.search(r", pid (\d+)", self.text())
            if match is None and self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self.text()[-2000:]}")
            return match
        self.pid = int(wait_until(f"{self.name} serves", serves, START_SECONDS_MAX)[1])

    def pids(self):
        """The processes of it that still run, watcher and node."""
        return [p for p in {self.process.pid, self.pid, *_children(self.process.pid)} if p and _alive(p)]

    def signal(self, number):
        """To the process that serves."""
        os.kill(self.pid, number)

    def wait_end(self, seconds=END_SECONDS_MAX):
        """The exit status of what was started."""
        return self.process.wait(seconds)

    def end(self):
        """Ends what still runs of it, watcher and node at once: nobody is to be told."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(END_SECONDS_MAX)
        wait_until(f"{self.name} has ended", lambda: not self.pids(), END_SECONDS_MAX)
        self._log.close()

    def problems(self):
        """What a sanitizer or a broken invariant said."""
        text = self.text()
        return [text[max(0, text.find(w) - 300):][:3000] for w in BAD_WORDS if w in text]

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sockets():
    """The fields of all TCP sockets, as /proc/net/tcp has them."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path) as table:
            for line in list(table)[1:]:
                yield line.split()


def owner_of_port(port, servers):
    """The name of the server whose process has the loopback socket with this local port."""
    inode = next((f[9] for f in sockets() if f[1] in (f"0100007F:{port:04X}", f"{MAPPED}:{port:04X}")), None)
    if inode is None:
        return None
    for server in servers:
        for pid in server.pids():
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                        return server.name
            except OSError:
                continue
    return None
