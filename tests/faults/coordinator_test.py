#!/usr/bin/python3
"""A coordinator that crashes or stops: F-10, F-12, F-13, F-28, F-40."""
import os
import signal
import threading
import time

import grpc

import scenario
import servers
from scenario import SCALE, Scenario, lease_seconds


class Coordinator(Scenario):
    nodes = 2

    def setUp(self):
        super().setUp()
        self.api.start_supervisor("all", intensity=10)

    def probe(self, id, **options):
        return self.api.child(id, options={"tick_ms": 50, **options}, placement=self.api.on("n1"))

    def begin_start(self, request_id, spec):
        """Asks for a start that will not be answered; returns when the coordinator has the request or was killed."""
        self.recorder.note("op_begin", request_id=request_id, kind="start", child=spec.id)

        def ask():
            try:
                self.api.start_child("all", spec, request_id, seconds=60)
            except (grpc.RpcError, ValueError):
                pass
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        return thread

    def retry(self, request_id, spec):
        """The same request again until it is answered."""
        def ask():
            return self.start_child("all", spec, request_id)
        return self.await_(f"{request_id} is answered", ask, lease_seconds(60))

    def starts_of(self, id):
        return self.tail.find(ev="start", child=id)

    def test_f10a_a_crash_before_the_commit(self):
        coordinator = self.servers["coordinator"]
        coordinator.signal(signal.SIGSTOP)
        spec = self.probe("a")
        self.begin_start("r", spec)
        self.await_("the request is there", lambda: self.unread_bytes(self.ports["coordinator"]))
        self.crash_coordinator()
        self.restart_coordinator()
        info = self.retry("r", spec)
        self.assertEqual([e["fence"] for e in self.starts_of("a")], [info.fence])
        self.finish()

    def unread_bytes(self, port):
        """What waits in the sockets of this local port."""
        return sum(int(f[4].split(":")[1], 16) for f in servers.sockets() if int(f[1].split(":")[1], 16) == port)

    def test_f10b_a_crash_after_the_commit_before_the_start_arrives(self):
        """And F-10c: the old Start arrives after all, in a session that is over."""
        self.net.hold("coordinator", "n1")
        spec = self.probe("a")
        self.begin_start("r", spec)
        # Bytes towards n1 are read, and so looked at, before they are held.
        durable = self.await_event(ev="durable", child="a")
        self.crash_coordinator()
        self.net.heal("coordinator", "n1")
        self.restart_coordinator()
        info = self.retry("r", spec)
        starts = self.starts_of("a")
        self.assertEqual(len(starts), 1, starts)
        self.assertGreaterEqual(info.fence, durable["fence"])
        self.finish()

    def test_f10d_a_crash_before_the_acknowledgement_arrives(self):
        self.net.hold("n1", "coordinator")
        spec = self.probe("a")
        self.begin_start("r", spec)
        started = self.await_event(ev="start", child="a")
        self.crash_coordinator()
        self.net.heal("n1", "coordinator")
        self.restart_coordinator()
        info = self.retry("r", spec)
        self.assertEqual(info.fence, started["fence"])
        self.assertEqual(len(self.starts_of("a")), 1)
        self.finish()

    def test_f10e_a_crash_before_the_answer_arrives(self):
        spec = self.probe("a")
        far = scenario.client.Client(scenario.pb, self.door)
        self.clients.append(far)
        far.members.GetCluster(scenario.pb.cluster_pb2.GetClusterRequest(), timeout=5)
        self.net.hold("coordinator", "?")  # the door's way to whoever is no server: this test
        api, self.api = self.api, far
        self.begin_start("r", spec)
        self.api = api
        running = self.await_event(ev="child", child="a", kind="CHILD_STARTED")
        self.crash_coordinator()
        self.net.heal("coordinator", "?")
        self.restart_coordinator()
        self.assertEqual(self.retry("r", spec).fence, running["fence"])
        self.assertEqual(len(self.starts_of("a")), 1)
        self.finish()

    def test_f10f_a_crash_while_a_failed_init_is_reported(self):
        fail = os.path.join(self.folder, "fail")
        open(fail, "w").close()
        self.net.hold("n1", "coordinator")
        spec = self.probe("a", fail_if=fail)
        self.begin_start("r", spec)
        self.await_event(ev="init", child="a")
        self.crash_coordinator()
        self.net.heal("n1", "coordinator")
        self.restart_coordinator()
        with self.assertRaises(grpc.RpcError) as failed:
            self.await_answer("r", spec)
        self.assertEqual(self.reason(failed.exception), "CHILD_START_FAILED")
        self.assertEqual(len(self.tail.find(ev="init", child="a")), 1)
        self.assertEqual(self.api.children("all"), {})
        self.finish(())

    def await_answer(self, request_id, spec):
        """As retry(), but an error of the start is an answer."""
        while True:
            try:
                return self.start_child("all", spec, request_id)
            except grpc.RpcError as e:
                if e.code() != grpc.StatusCode.UNAVAILABLE:
                    raise

    def test_f12_a_stopped_coordinator(self):
        before = {i: self.start_child("all", self.probe(i), f"r{i}") for i in "ab"}
        coordinator = self.servers["coordinator"]
        since = scenario.history.now_ns()
        coordinator.signal(signal.SIGSTOP)
        time.sleep(30 * SCALE)  # the length of the fault: less than a freeze takes
        coordinator.signal(signal.SIGCONT)
        self.await_("it answers", lambda: self._answers(self.api))
        after = self.await_running("all")
        self.assertEqual({i: c.fence for i, c in after.items()}, {i: c.fence for i, c in before.items()})
        self.await_state("n1", "ACTIVE")
        self.assertEqual(self.tail.find(ev="dead"), [])
        self.assertEqual(self.tail.find(since=since, ev="start"), [])
        self.finish()

    def test_f13_no_coordinator_for_long(self):
        pb = scenario.pb
        before = {i: self.start_child("all", self.probe(i), f"r{i}") for i in "ab"}
        available = self.probe("free")
        available.exclusivity = pb.types_pb2.EXCLUSIVITY_AVAILABLE
        before["free"] = self.start_child("all", available, "rfree")
        crashing = self.probe("crashing")
        crashing.exclusivity = pb.types_pb2.EXCLUSIVITY_AVAILABLE
        before["crashing"] = self.start_child("all", crashing, "rcrashing")
        node = {i: self.client(c.node) for i, c in before.items()}
        self.crash_coordinator()
        counts = {}
        frozen = pb.types_pb2.ACTOR_STATE_FROZEN

        def state(id):
            request = pb.actors_pb2.GetActorRequest(target=self.by_pid(before[id]))
            return node[id].actors.GetActor(request, timeout=5).actor.state
        with self.assertRaises(grpc.RpcError):
            node["crashing"].order(self.by_pid(before["crashing"]), "crash", seconds=5)
        self.await_event(ev="exit", child="crashing")
        for id in "ab":
            self.await_(f"{id} is frozen", lambda: state(id) == frozen, lease_seconds(40))
            counts[id] = self.last_count(id)
        since = scenario.history.now_ns()
        # Longer than all leases, by the clock that shows that the free one goes on.
        self.await_event(lease_seconds(60), since + int(25e9 * SCALE), ev="dispatch", child="free")
        self.assertEqual(self.tail.find(since=since, ev="dispatch", child="a"), [])
        self.restart_coordinator()
        for id in "ab":
            self.await_event(lease_seconds(10), since=since, ev="dispatch", child=id)
        after = self.await_running("all")
        for id in ("a", "b", "free"):
            self.assertEqual(after[id].fence, before[id].fence)
            self.assertEqual(len(self.starts_of(id)), 1)
        self.assertEqual(len(self.starts_of("crashing")), 2)
        for id in "ab":
            self.assertGreater(self.last_count(id), counts[id])
        self.assertEqual(self.tail.find(ev="dead"), [])
        self.finish(available=("free", "crashing"))

    def by_pid(self, info):
        return scenario.pb.types_pb2.Target(pid=info.pid)

    def last_count(self, id):
        """How often it has done something: a restarted one begins again."""
        return len(self.tail.find(ev="ext_write", child=id))

    def test_f28_a_client_that_tries_again_through_crashes(self):
        spec = self.probe("a")
        answers = []
        for _ in range(5):
            self.begin_start("r", spec)
            self.crash_coordinator()
            self.restart_coordinator()
            answers.append(self.retry("r", spec).fence)
        self.assertEqual(len(set(answers)), 1, answers)
        self.assertEqual(len(self.starts_of("a")), 1)
        self.finish()

    def test_f40_two_coordinators_on_one_store(self):
        before = self.start_child("all", self.probe("a"), "r")
        second = self._server("second", "banyand", ["coordinator", "--listen", "127.0.0.1:0", "--state-dir",
                                                    self.state_of_coordinator])
        self.assertNotEqual(second.wait_end(), 0)
        self.assertIn("in use by process", second.text())
        self.assertEqual(self.await_running("all")["a"].fence, before.fence)
        self.finish()


if __name__ == "__main__":
    scenario.main()
