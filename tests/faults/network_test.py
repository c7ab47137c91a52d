#!/usr/bin/python3
"""Networks that break in parts: F-6, F-8, F-9, F-30, F-38."""
import grpc

import scenario
from scenario import PEER_SILENCE, Scenario, lease_seconds


class Networks(Scenario):
    def fences(self, infos):
        return {i: c.fence for i, c in infos.items()}

    def test_f6_a_node_cut_from_all(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        self.start_probes("others", ["x"], on="n2")
        self.link("x", "a")
        self.await_linked("a", "x")
        for other in ("coordinator", "n2", "n3"):
            self.net.cut("n1", other)
        alone = self.client("n1")
        self.await_event(lease_seconds(PEER_SILENCE), ev="exit_signal", child="x")
        frozen = scenario.pb.types_pb2.ACTOR_STATE_FROZEN
        local = scenario.pb.types_pb2.Target(
            local_name=scenario.pb.types_pb2.LocalName(node="n1", name="a"))
        request = scenario.pb.actors_pb2.GetActorRequest(target=local)
        self.await_("a is frozen", lambda: alone.actors.GetActor(request, timeout=5).actor.state == frozen,
                    lease_seconds(40))
        self.await_event(lease_seconds(60), ev="dead", name="n1", cause="lease")
        after = self.await_running("all", away_from=("n1",))
        for id, info in after.items():
            self.await_event(ev="ext_write", child=id, fence=info.fence, accepted=True)
        for other in ("coordinator", "n2", "n3"):
            self.net.join("n1", other)
        self.await_("n1 joins anew", lambda: (n := self.api.node("n1")) and n.incarnation == 2 and n.state == 2)
        for id, info in before.items():
            self.await_event(ev="exit", child=id, fence=info.fence)
        self.finish(("all", "others"))

    def test_f8_acknowledgements_are_lost(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        self.net.hold("coordinator", "n1")
        self.await_event(lease_seconds(70), ev="dead", name="n1", cause="lease")
        after = self.await_running("all", away_from=("n1",))
        self.assertTrue(all(after[i].fence > before[i].fence for i in after))
        self.net.heal("coordinator", "n1")
        self.await_("n1 joins anew", lambda: (n := self.api.node("n1")) and n.incarnation == 2 and n.state == 2)
        self.finish()

    def test_f9_one_direction_between_two_nodes_is_lost(self):
        before = self.start_probes("all", ["a"], on="n1")
        before |= self.start_probes("others", ["x"], on="n2")
        self.link("x", "a")
        self.link("a", "x")
        self.await_linked("a", "x")
        self.net.hold("n2", "n1")
        for id in ("a", "x"):
            self.await_event(lease_seconds(PEER_SILENCE), ev="down", child=id)
            self.await_event(lease_seconds(PEER_SILENCE), ev="exit_signal", child=id)
        self.net.heal("n2", "n1")
        # A new session, with a link of its own.
        self.await_("the two can talk again", lambda: self.linked_anew("x", "a"))
        self.assertEqual(self.tail.find(ev="dead"), [])
        after = self.await_running("all") | self.await_running("others")
        self.assertEqual(self.fences(after), self.fences(before))
        self.finish(("all", "others"))

    def test_f9_two_nodes_that_are_cut_talk_through_the_coordinator(self):
        before = self.start_probes("all", ["a"], on="n1")
        before |= self.start_probes("others", ["x"], on="n2")
        self.link("x", "a")
        self.await_linked("a", "x")
        self.net.cut("n1", "n2")
        self.await_breaks(1, PEER_SILENCE)
        self.await_("they talk through the coordinator", lambda: self.linked_anew("x", "a"))
        # Now the session is as good as the coordinator, and the next is up with the next one.
        self.crash_coordinator()
        self.await_breaks(2)
        self.restart_coordinator()
        self.await_("they talk through the next one", lambda: self.linked_anew("x", "a"))
        self.assertEqual(self.tail.find(ev="dead"), [])
        self.net.join("n1", "n2")
        after = self.await_running("all") | self.await_running("others")
        self.assertEqual(self.fences(after), self.fences(before))
        self.finish(("all", "others"))

    def await_breaks(self, number, seconds=0):
        for id in ("a", "x"):
            self.await_(f"{id} hears of break {number}",
                        lambda: len(self.tail.find(ev="exit_signal", child=id)) >= number,
                        lease_seconds(seconds) if seconds else scenario.PATIENCE)

    def linked_anew(self, a, b):
        """A call first: a link while there is no session breaks at once, and counts as one."""
        if self.api.order(a, f"big {self.api.pid(b)} 10") != "OK":
            return False
        self.api.order(a, f"link {self.api.pid(b)}")
        self.await_linked(b, a)
        return True

    def test_f38_a_session_that_flaps(self):
        before = self.start_probes("all", ["a"], on="n1")
        before |= self.start_probes("others", ["x"], on="n2")
        for number in range(1, 4):
            self.await_("the two can talk", lambda: self.linked_anew("x", "a"))
            self.api.order("x", f"monitor {self.api.pid('a')}")
            self.api.order("x", f"big {self.api.pid('a')} 10")  # behind the monitor on the same session
            self.assertGreater(self.net.reset("n1", "n2"), 0)
            for id in ("a", "x"):
                self.await_(f"{id} hears of break {number}",
                            lambda: len(self.tail.find(ev="exit_signal", child=id)) == number)
            self.await_("the monitor fires", lambda: len(self.tail.find(ev="down", child="x")) == number)
        self.assertEqual([e for e in self.tail.find(ev="member") if e["kind"] in ("SUSPECT", "DEAD")], [])
        after = self.await_running("all") | self.await_running("others")
        self.assertEqual(self.fences(after), self.fences(before))
        self.finish(("all", "others"))

    def test_f30_a_child_on_an_unreachable_node_is_terminated(self):
        before = self.start_probes("all", ["a", "b"], on="n1")
        self.net.cut("n1", "coordinator")
        self.await_event(ev="member", name="n1", kind="SUSPECT")
        pending = {i: self.api.terminate_child("all", i).pending for i in ("a", "b")}
        for id in ("a", "b"):
            self.assertTrue(pending[id].operation_id)
            # The name is kept until it is proven that nobody has it.
            with self.assertRaises(grpc.RpcError) as refused:
                self.api.start_child("all", self.api.child(id))
            self.assertEqual(refused.exception.code(), grpc.StatusCode.ALREADY_EXISTS)
        # It ends with the acknowledgement, when the node can be reached again.
        self.net.join("n1", "coordinator")
        for id in ("a", "b"):
            self.assertEqual(self.result_of(pending[id].operation_id), "stopped")
            self.recorder.note("op_ack", request_id=f"stop {id}", kind="terminate", child=id)
            self.await_event(ev="exit", child=id, fence=before[id].fence)
        self.await_event(ev="member", name="n1", kind="RECOVERED")
        self.start_probes("others", ["x"], on="n1")
        # Or with the death of the node.
        self.net.cut("n1", "coordinator")
        self.await_event(since=scenario.history.now_ns(), ev="member", name="n1", kind="SUSPECT")
        pending = self.api.terminate_child("others", "x").pending
        self.assertTrue(pending.operation_id)
        self.assertEqual(self.result_of(pending.operation_id), "stopped_by_death")
        self.recorder.note("op_ack", request_id="stop x", kind="terminate", child="x")
        self.net.join("n1", "coordinator")
        self.await_("n1 joins anew", lambda: (n := self.api.node("n1")) and n.incarnation == 2 and n.state == 2)
        self.finish(())

    def result_of(self, operation):
        request = scenario.pb.supervisors_pb2.WaitOperationRequest(operation_id=operation)

        def done():
            response = self.api.supervisors.WaitOperation(request, timeout=5)
            return response.done and response.result
        return self.await_(f"operation {operation} ends", done, lease_seconds(60))


if __name__ == "__main__":
    scenario.main()
