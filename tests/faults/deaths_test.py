#!/usr/bin/python3
"""Nodes that die, stop, or come twice: F-1, F-2, F-4, F-5, F-20, F-21."""
import os
import signal

import scenario
from scenario import PEER_SILENCE, Scenario, lease_seconds


class Deaths(Scenario):
    def test_f1_a_killed_node_with_a_watcher(self):
        before = self.start_probes("all", ["a", "b", "c"], on="n1")
        self.start_probes("others", ["x"], on="n2")
        self.link("x", "a")
        self.await_linked("a", "x")
        self.kill("n1")
        self.await_event(ev="exit_signal", child="x")
        self.await_event(ev="down", child="x")
        self.await_event(ev="dead", name="n1", cause="watcher")
        after = self.await_running("all", away_from=("n1",))
        for id, info in after.items():
            self.assertGreater(info.fence, before[id].fence)
        # Nothing was counted: the supervisor's intensity is zero.
        self.assertEqual(self.api.supervisor("all").recent_restarts, 0)
        self.finish(("all", "others"))

    def test_f2_a_killed_node_without_a_watcher_that_comes_back(self):
        self.start_node("n4", watch=False).wait_serving()
        self.await_state("n4", "ACTIVE")
        before = self.start_probes("all", ["a", "b", "c"], on="n4")
        self.kill("n4")
        self.start_node("n4", watch=False).wait_serving()
        self.await_event(ev="dead", name="n4", cause="superseded")
        after = self.await_(
            "all have new lives",
            lambda: all(i.fence > before[c].fence for c, i in self.await_running("all").items()))
        self.assertTrue(after)
        self.assertEqual(self.await_state("n4", "ACTIVE").incarnation, 2)
        self.assertEqual(self.api.supervisor("all").recent_restarts, 0)
        self.finish()

    def test_f4_a_stopped_node_is_killed_by_its_watcher(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        since = scenario.history.now_ns()
        self.servers["n1"].signal(signal.SIGSTOP)
        self.await_event(lease_seconds(60), since, ev="dead", name="n1", cause="watcher")
        self.assertEqual(self.servers["n1"].wait_end(), 128 + signal.SIGKILL)
        after = self.await_running("all", away_from=("n1",))
        self.assertTrue(all(after[i].fence > before[i].fence for i in after))
        self.finish()

    def test_f4_a_stopped_node_without_a_watcher_comes_back(self):
        self.paused = ("n4",)
        self.start_node("n4", watch=False).wait_serving()
        self.await_state("n4", "ACTIVE")
        before = self.start_probes("all", ["a", "b"], on="n4")
        # One is stopped in the middle of its code, which nothing can keep from going on.
        busy = os.path.join(self.folder, "busy")
        open(busy, "w").close()
        self.api.cast("a", f"busy {busy}")
        begun = self.await_(
            "it is busy", lambda: len(self.tail.find(ev="dispatch", child="a", since=self.started)) > 3)
        self.assertTrue(begun)
        self.servers["n4"].signal(signal.SIGSTOP)
        self.await_event(lease_seconds(60), ev="dead", name="n4", cause="lease")
        after = self.await_running("all", away_from=("n4",))
        self.await_event(ev="ext_write", child="a", fence=after["a"].fence, accepted=True)
        os.remove(busy)
        since = scenario.history.now_ns()
        self.servers["n4"].signal(signal.SIGCONT)
        # Either it sees at once that its lease is over and aborts, or its late write is refused.
        self.await_("the old lives end", lambda: self.servers["n4"].process.poll() is not None or all(
            self.tail.find(ev="exit", child=i, fence=before[i].fence) for i in before))
        late = self.tail.find(since=since, ev="ext_write", child="a", fence=before["a"].fence)
        self.assertFalse(any(e["accepted"] for e in late), late)
        if self.servers["n4"].process.poll() is None:
            node = self.await_("n4 is back", lambda: (n := self.api.node("n4")) and n.state == 2 and n)
            self.assertEqual(node.incarnation, 2)
        self.finish()

    def test_f5_a_short_stop_changes_nothing(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        self.start_probes("others", ["x"], on="n2")
        self.link("x", "a")
        self.await_linked("a", "x")
        since = scenario.history.now_ns()
        self.servers["n1"].signal(signal.SIGSTOP)
        self.await_event(lease_seconds(PEER_SILENCE), ev="down", child="x")
        self.await_event(since=since, ev="member", name="n1", kind="SUSPECT")
        self.servers["n1"].signal(signal.SIGCONT)
        self.await_event(ev="member", name="n1", kind="RECOVERED", since=since)
        self.await_event(ev="exit_signal", child="a")  # the other end has lost the session too
        after = self.await_running("all")
        self.assertEqual({i: c.fence for i, c in after.items()}, {i: c.fence for i, c in before.items()})
        self.assertEqual(self.tail.find(ev="dead"), [])
        self.finish(("all", "others"))

    def test_f20_a_second_host_with_the_same_name(self):
        before = self.start_probes("all", ["a"], on="n1")
        second = self.start_node("n1", state="n1-elsewhere", log="n1-elsewhere")
        second.wait_serving()
        self.await_("it is refused", lambda: any(
            line["reason"] == "NAME_IN_USE" for line in second.lines("join_refused")))
        self.assertEqual(second.lines("joined"), [])
        node = self.api.node("n1")
        self.assertEqual((node.incarnation, node.state), (1, scenario.pb.types_pb2.NODE_STATE_ACTIVE))
        self.assertEqual(self.await_running("all")["a"].fence, before["a"].fence)
        self.finish()

    def test_f21_a_dead_incarnation_comes_back(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        self.net.cut("n1", "coordinator")
        self.await_event(ev="member", name="n1", kind="SUSPECT")
        self.await_event(lease_seconds(60), ev="dead", name="n1", cause="lease")
        after = self.await_running("all", away_from=("n1",))
        self.net.join("n1", "coordinator")
        node = self.await_("n1 joins anew", lambda: (n := self.api.node("n1")) and n.incarnation == 2 and n.state == 2)
        self.assertTrue(node)
        self.assertTrue(self.servers["n1"].lines("declared_dead"))
        for id, info in before.items():
            self.await_event(ev="exit", child=id, fence=info.fence)
            self.assertGreater(after[id].fence, info.fence)
        self.finish()


if __name__ == "__main__":
    scenario.main()
