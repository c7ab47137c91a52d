"""What the coordinator's store holds, read from a copy of its files: its lock keeps other readers out."""
import os
import shutil
import sqlite3
import tempfile
import zlib

_SALTS = slice(16, 24)  # of the log's header: change when the log begins anew


def _signature(path):
    """Changes with every commit, which writes to the log; times of files are too coarse to tell."""
    try:
        with open(path + "-wal", "rb") as log:
            return zlib.crc32(log.read())
    except FileNotFoundError:
        return None


def _salts(path):
    try:
        with open(path + "-wal", "rb") as f:
            return f.read(32)[_SALTS]
    except FileNotFoundError:
        return b""


def read(path, prefix):
    """{key: value} of all that is committed, or None if the log began anew meanwhile."""
    with tempfile.TemporaryDirectory(prefix="banyan-copy-") as folder:
        copy = os.path.join(folder, "copy.db")
        before = _salts(path)
        shutil.copyfile(path, copy)
        if os.path.exists(path + "-wal"):
            shutil.copyfile(path + "-wal", copy + "-wal")
        if _salts(path) != before:
            return None
        db = sqlite3.connect(copy)
        try:
            rows = db.execute("SELECT key, value FROM kv WHERE key >= ? AND key < ?", (prefix, prefix + "\x7f"))
            return {k: bytes(v) for k, v in rows.fetchall()}
        except sqlite3.DatabaseError:
            return None
        finally:
            db.close()


class Assignments:
    """Writes `durable` into the history for every assignment that the store holds, once it does."""

    def __init__(self, pb, recorder, path):
        self._pb, self._recorder, self._path = pb, recorder, path
        self._seen = set()
        self._last = None

    def look(self):
        signature = _signature(self._path)
        if signature == self._last or signature is None:
            return
        records = None
        for _ in range(20):
            if (records := read(self._path, "child/")) is not None:
                break
        if records is None:
            return
        self._last = signature
        for key, value in records.items():
            if not key.endswith("/asg"):
                continue
            asg = self._pb.store_pb2.AssignmentRecord.FromString(value)
            child = key.split("/")[-2]
            tuple_ = (child, asg.fence, asg.node_id, asg.incarnation)
            if asg.fence and tuple_ not in self._seen:
                self._seen.add(tuple_)
                self._recorder.note("durable", child=child, fence=asg.fence, node_id=asg.node_id, inc=asg.incarnation)
