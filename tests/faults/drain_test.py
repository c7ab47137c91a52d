#!/usr/bin/python3
"""A drain past its deadline: F-33."""
import os

import scenario
from scenario import Scenario, lease_seconds


class Drains(Scenario):
    nodes = 2

    def test_f33_a_child_that_does_not_stop(self):
        pb = scenario.pb
        never = pb.types_pb2.ShutdownPolicy(infinity=pb.types_pb2.ShutdownPolicy.Infinity())
        self.start_probes("all", ["quick"], on="n1")
        busy = os.path.join(self.folder, "busy")
        open(busy, "w").close()
        self.api.start_supervisor("stubborn", [self.api.child("held", placement=self.api.on("n1"), shutdown=never)])
        held = self.await_running("stubborn")["held"]
        self.api.cast("held", f"busy {busy}")
        self.await_("it is busy", lambda: self.tail.find(ev="dispatch", child="held"))
        request = pb.cluster_pb2.DrainRequest(name="n1", then_leave=True)
        request.deadline.FromMilliseconds(500)
        self.api.members.Drain(request, timeout=5)
        self.await_running("all", away_from=("n1",))
        self.await_event(lease_seconds(40), ev="child", kind="CHILD_STUCK", child="held")
        # It runs, so the node has not left, and nothing replaces it.
        self.assertEqual(self.api.node("n1").state, pb.types_pb2.NODE_STATE_DRAINING)
        self.assertEqual(len(self.tail.find(ev="start", child="held")), 1)
        since = scenario.history.now_ns()
        self.await_event(since=since, ev="dispatch", child="held", fence=held.fence)
        os.remove(busy)
        after = self.await_running("stubborn", away_from=("n1",))
        self.assertGreater(after["held"].fence, held.fence)
        self.await_event(ev="member", name="n1", kind="LEFT")
        self.finish(("all", "stubborn"))


if __name__ == "__main__":
    scenario.main()
