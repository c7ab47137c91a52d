#!/usr/bin/python3
"""A store on a full disk: F-14. F-15, an fsync that fails, is SqliteFile.WriteErrorEndsTheProcess in
tests/unit/server/coordinator/store: only a kernel's fault injection would make a real one fail."""
import errno
import os
import subprocess

import grpc

import scenario
from scenario import Scenario

DISK_BYTES = 16 << 20


class FullDisk(Scenario):
    nodes = 0

    def setUp(self):
        super().setUp()
        os.mkdir(self.state_of_coordinator)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.state_of_coordinator],
                               capture_output=True, text=True)
        if mount.returncode != 0:
            self.skipTest(f"a file system of its own needs root: {mount.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.state_of_coordinator], check=True)
        self.start_cluster(2)

    def fill(self):
        """Takes all that is left of the disk."""
        with open(os.path.join(self.state_of_coordinator, "filler"), "ab", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise

    def test_f14_a_full_disk(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        self.fill()
        # What the log has room for is still taken. The first that has none waits for room, and is not answered.
        codes = []

        def refused():
            spec = self.api.child(f"big{len(codes)}", options={"padding": "x" * 60_000})
            try:
                self.start_child("all", spec, f"r{len(codes)}", seconds=2)
                codes.append("OK")
            except grpc.RpcError as e:
                codes.append(self.reason(e))
            return codes[-1] == "STORE_FULL"
        self.await_("changes are refused", refused)
        self.assertLessEqual(codes.count("DEADLINE_EXCEEDED"), 1, codes)
        # Calls, names and leases go on.
        self.assertEqual(int(self.api.order("a", "info").split()[0]), before["a"].fence)
        # A death cannot be recorded, so nothing is replaced.
        since = scenario.history.now_ns()
        self.kill("n1")
        self.await_("the end is known", lambda: self.api.node("n1").state != scenario.pb.types_pb2.NODE_STATE_ACTIVE)
        self.assertEqual(self.tail.find(since=since, ev="start"), [])
        os.remove(os.path.join(self.state_of_coordinator, "filler"))
        self.await_event(ev="dead", name="n1")
        after = self.await_running("all", away_from=("n1",))
        for id in before:
            self.assertGreater(after[id].fence, before[id].fence)
        self.finish()


if __name__ == "__main__":
    scenario.main()
