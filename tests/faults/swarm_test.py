#!/usr/bin/python3
"""Faults at random, one after the other and together; at the end all is healed and the checker judges.

BANYAN_SEED=S repeats the choices of a run, though not its timing; BANYAN_FAULT_SEEDS=N tries N others."""
import os
import random
import signal
import time
import unittest

import grpc

import scenario
from scenario import SCALE, Scenario, lease_seconds

STEPS = 12
NODES = ("n1", "n2", "n3", "n4")


class Swarm(Scenario):
    nodes = 4

    def test_faults_at_random(self):
        more = os.environ.get("BANYAN_FAULT_SEEDS")
        seed = random.SystemRandom().randrange(1 << 32) if more else int(os.environ.get("BANYAN_SEED", "1"))
        self.random = random.Random(seed)
        self.stopped, self.cuts, self.asked = set(), set(), {}
        self.api.start_supervisor("all", intensity=1000)
        done = []
        try:
            for step in range(STEPS):
                self.begin_starts(step)
                done.append(self.random.choice([
                    self.kill_a_node, self.stop_a_node, self.go_on, self.cut, self.heal, self.reset,
                    self.crash_the_coordinator, self.crash_a_child])())
                time.sleep(self.random.uniform(0, 15 * SCALE))  # the length of the fault
            self.heal_all()
            for request_id, spec in self.asked.items():
                self.await_(f"{request_id} is answered", lambda: self.start_child("all", spec, request_id),
                            lease_seconds(90))
            self.await_running("all", seconds=lease_seconds(90))
            self.paused = NODES  # a stop may come in the middle of code
            self.finish()
        except BaseException:
            print(f"BANYAN_SEED={seed}: {done}")
            raise

    def begin_starts(self, step):
        """Asks for some children; the answers may be lost."""
        for i in range(self.random.randrange(3)):
            request_id = f"r{step}-{i}"
            spec = self.api.child(f"c{step}-{i}", options={"tick_ms": 50})
            self.asked[request_id] = spec
            self.recorder.note("op_begin", request_id=request_id, kind="start", child=spec.id)
            try:
                self.start_child("all", spec, request_id, seconds=self.random.choice([0.05, 0.5]))
            except grpc.RpcError:
                pass

    def kill_a_node(self):
        name = self.random.choice(NODES)
        server = self.servers[name]
        self.stopped.discard(name)
        for pid in server.pids():
            os.kill(pid, signal.SIGCONT)
        if server.process.poll() is None:
            server.wait_serving()
            self.kill(name)
        self.start_node(name, watch=self.random.random() < 0.7)
        return f"kill {name}"

    def stop_a_node(self):
        name = self.random.choice(NODES)
        if self.servers[name].process.poll() is None:
            self.servers[name].wait_serving()
            self.servers[name].signal(signal.SIGSTOP)
            self.stopped.add(name)
        return f"stop {name}"

    def go_on(self):
        for name in self.stopped:
            for pid in self.servers[name].pids():
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()
        return "go on"

    def cut(self):
        a, b = self.random.sample([*NODES, "coordinator"], 2)
        self.cuts.add((a, b))
        if self.random.random() < 0.5:
            self.net.cut(a, b)
        else:
            self.net.hold(a, b)
        return f"cut {a} {b}"

    def heal(self):
        for a, b in self.cuts:
            self.net.join(a, b)
        self.cuts.clear()
        return "heal"

    def reset(self):
        a, b = self.random.sample([*NODES, "coordinator"], 2)
        self.net.reset(a, b)
        return f"reset {a} {b}"

    def crash_the_coordinator(self):
        self.crash_coordinator()
        self.restart_coordinator()
        return "crash the coordinator"

    def crash_a_child(self):
        try:
            child = self.random.choice(sorted(self.api.children("all")) or [""])
            self.api.order(self.api.at("all", child), "crash", seconds=0.5)
        except grpc.RpcError:
            pass
        return "crash a child"

    def heal_all(self):
        self.go_on()
        self.heal()
        for name in NODES:
            self.await_(f"{name} is active", lambda: self.active_again(name), lease_seconds(90))

    def active_again(self, name):
        """Whether it is; it is started anew if its watcher has had to kill it."""
        if self.servers[name].process.poll() is not None:
            self.start_node(name).wait_serving()
        node = self.api.node(name)
        return node and node.state == scenario.pb.types_pb2.NODE_STATE_ACTIVE


def load_tests(loader, tests, pattern):
    """As many as BANYAN_FAULT_SEEDS says."""
    return unittest.TestSuite(
        Swarm("test_faults_at_random") for _ in range(int(os.environ.get("BANYAN_FAULT_SEEDS", "1"))))


if __name__ == "__main__":
    scenario.main()
