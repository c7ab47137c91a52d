"""What happened, as JSON lines of all processes, merged by their one clock."""
import glob
import json
import os
import threading
import time


def now_ns():
    """CLOCK_BOOTTIME, as the probes have it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def from_wall(seconds):
    """A wall time as the history's time."""
    return now_ns() - int((time.time() - seconds) * 1e9)


def matches(event, fields):
    return all(event.get(k) == v for k, v in fields.items())


class Recorder:
    """The test's own lines. Safe from any thread."""

    def __init__(self, folder):
        self._file = open(os.path.join(folder, "driver.jsonl"), "w")
        self._lock = threading.Lock()

    def note(self, ev, t=None, **fields):
        line = json.dumps({"t": t or now_ns(), "proc": "driver", "ev": ev, **fields})
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def close(self):
        with self._lock:
            self._file.close()


class Tail:
    """Follows the files of a folder as they grow."""

    def __init__(self, folder):
        self._folder = folder
        self._offsets = {}
        self.events = []

    def find(self, since=0, **fields):
        """Events with these fields that happened after `since`, in the order in which they were read."""
        for path in glob.glob(os.path.join(self._folder, "*.jsonl")):
            with open(path) as f:
                f.seek(self._offsets.get(path, 0))
                text = f.read()
            whole = text.rfind("\n") + 1
            self._offsets[path] = self._offsets.get(path, 0) + len(text[:whole].encode())
            self.events += [json.loads(line) for line in text[:whole].splitlines()]
        return [e for e in self.events if e["t"] > since and matches(e, fields)]


def read(folder):
    """All events of a folder, oldest first. The last line of a killed process may be missing, never torn."""
    events = []
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        with open(path) as lines:
            events += [json.loads(line) for line in lines]
    events.sort(key=lambda e: e["t"])
    return events
