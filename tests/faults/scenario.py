"""A cluster of real processes under faults; the base of all scenarios.

Times of leases are those of the product times SCALE. A scenario waits for events with a deadline, never for a time to
pass, except where the length of a fault is the fault.
"""
import argparse
import datetime
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest

import grpc

import checker
import client
import history
import proxy
import servers
import store_copy
import stubs

SCALE = 0.1
BUILD = os.path.join(stubs.ROOT, "build", "dev")
PATIENCE = 20  # seconds for what does not depend on leases; the machine is busy
PEER_SILENCE = 8  # of the product, as all times that are passed to lease_seconds()
pb = None


def lease_seconds(seconds):
    """How long to wait for something that takes so long with the product's own times."""
    return seconds * SCALE + PATIENCE


class Scenario(unittest.TestCase):
    nodes = 3
    watch = True
    paused = ()  # nodes that are stopped in the middle of code: no overlap is asserted of their turns

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="banyan-faults-")
        self.history_folder = os.path.join(self.folder, "history")
        os.mkdir(self.history_folder)
        self.recorder = history.Recorder(self.history_folder)
        self.tail = history.Tail(self.history_folder)
        self.all_servers = []
        self.servers = {}  # those that count now, by name
        self.clients = []
        self.ports = {}
        self.closing = False
        self.net = proxy.Network(lambda port: servers.owner_of_port(port, list(self.all_servers)))
        self.addCleanup(self._clean_up)
        self.state_of_coordinator = os.path.join(self.folder, "coordinator")
        self.started = history.now_ns()
        if self.nodes:
            self.start_cluster(self.nodes)

    # --- servers

    def _server(self, name, program, args, log=None):
        server = servers.Server(name, os.path.join(BUILD, "bin", program),
                                [*args, "--lease-scale", str(SCALE), "--log-format", "json"],
                                os.path.join(self.folder, f"{log or name}-{len(self.all_servers)}.log"),
                                {"BANYAN_HISTORY": self.history_folder})
        self.all_servers.append(server)
        return server

    def start_coordinator(self):
        if "coordinator" not in self.ports:
            self.ports["coordinator"] = servers.free_port()
            self.door = self.net.door("coordinator", self.ports["coordinator"])
            look = store_copy.Assignments(pb, self.recorder, os.path.join(self.state_of_coordinator, "banyan.db")).look
            self.net.before("coordinator", look)
        self.servers["coordinator"] = self._server("coordinator", "banyand", [
            "coordinator", "--listen", f"127.0.0.1:{self.ports['coordinator']}", "--advertise", self.door,
            "--state-dir", self.state_of_coordinator])
        self.servers["coordinator"].wait_serving()

    def crash_coordinator(self):
        self.servers["coordinator"].signal(signal.SIGKILL)
        self.servers["coordinator"].wait_end()

    def restart_coordinator(self):
        self.start_coordinator()
        self.api = self.client("coordinator")  # the old channel waits before it dials again
        self.await_("the coordinator answers", lambda: self._answers(self.api), PATIENCE)

    def _answers(self, api):
        try:
            return bool(api.members.GetCluster(pb.cluster_pb2.GetClusterRequest(), timeout=1).id)
        except grpc.RpcError:
            return False

    def start_node(self, name, watch=None, state=None, log=None):
        watch = self.watch if watch is None else watch
        port = servers.free_port()
        node = self._server(name, "fault_node", [
            "node", "--name", name, "--listen", f"127.0.0.1:{port}", "--advertise", self.net.door(name, port),
            "--coordinator", self.door, "--state-dir", os.path.join(self.folder, state or name),
            *([] if watch else ["--no-watch"])], log)
        if log is None:
            self.servers[name] = node
            self.ports[name] = port
        return node

    def start_cluster(self, nodes, watch=None):
        self.start_coordinator()
        self.api = self.client("coordinator")
        threading.Thread(target=self._watch_members, daemon=True).start()
        threading.Thread(target=self._watch_children, daemon=True).start()
        names = [f"n{i + 1}" for i in range(nodes)]
        for name in names:
            self.start_node(name, watch)
        for name in names:
            self.servers[name].wait_serving()
        for name in names:
            self.await_state(name, "ACTIVE")

    def client(self, name):
        out = client.Client(pb, f"127.0.0.1:{self.ports[name]}")
        self.clients.append(out)
        return out

    def kill(self, name):
        """kill -9 of the process that serves."""
        server = self.servers[name]
        server.signal(signal.SIGKILL)
        servers.wait_until(f"{name} has ended", lambda: server.pid not in server.pids(), PATIENCE)
        self._note_ended()

    def _note_ended(self):
        noted = {e["of"] for e in self.tail.find(ev="proc_end")}
        for server in self.all_servers:
            proc = f"{server.name}-{server.pid}"
            if server.pid and server.pid not in server.pids() and proc not in noted:
                self.recorder.note("proc_end", of=proc)

    # --- what happens

    def _watch(self, open_stream, note):
        token = ""
        while not self.closing:
            try:
                for message in open_stream(token):
                    token = message.resume_token or token
                    for event in message.events:
                        note(event)
            except grpc.RpcError as e:
                if e.code() == grpc.StatusCode.OUT_OF_RANGE:
                    token = ""
            except ValueError:  # the channel is closed
                return
            while not self.closing and not self._answers(self.api):
                time.sleep(0.05)

    def _watch_members(self):
        kinds = pb.cluster_pb2.ClusterEvent.Kind

        def note(event):
            kind = kinds.Name(event.kind).replace("KIND_NODE_", "").replace("KIND_", "")
            fields = dict(kind=kind, name=event.node.name, node_id=event.node.node_id, inc=event.node.incarnation,
                          cause=event.node.death_cause, message=event.message)
            at = history.from_wall(event.time.ToNanoseconds() / 1e9)
            self.recorder.note("member", t=at, **fields)
            if kind == "DEAD":
                self.recorder.note("dead", t=at, **fields)
        self._watch(lambda token: self.api.members.WatchCluster(pb.cluster_pb2.WatchClusterRequest(resume_token=token)),
                    note)

    def _watch_children(self):
        kinds = pb.supervisors_pb2.SupervisorEvent.Kind

        def note(event):
            self.recorder.note("child", kind=kinds.Name(event.kind).replace("KIND_", ""), child=event.child.id,
                               fence=event.child.fence, on=event.child.node, path="/".join(event.path))
        self._watch(lambda token: self.api.supervisors.WatchEvents(
            pb.supervisors_pb2.WatchEventsRequest(resume_token=token)), note)

    def await_(self, what, probe, seconds=PATIENCE):
        def quiet():
            try:
                return probe()
            except grpc.RpcError as e:
                self._last_error = e.details()
                return None
        self._last_error = ""
        try:
            return servers.wait_until(what, quiet, seconds)
        except TimeoutError as e:
            raise AssertionError(f"{e} {self._last_error}") from None

    def await_event(self, seconds=PATIENCE, since=0, **fields):
        """The first event with these fields."""
        return self.await_(f"event {fields}", lambda: self.tail.find(since=since, **fields), seconds)[0]

    def await_state(self, name, state, seconds=PATIENCE):
        want = pb.types_pb2.NodeState.Value("NODE_STATE_" + state)
        return self.await_(f"{name} is {state}",
                           lambda: (node := self.api.node(name)) and node.state == want and node, seconds)

    def await_running(self, supervisor, ids=None, away_from=(), seconds=PATIENCE):
        """{id: ChildInfo}, once all children (or those) run, none of them on the nodes `away_from`."""
        running = pb.supervisors_pb2.CHILD_STATE_RUNNING

        def all_run():
            infos = self.api.children(supervisor)
            mine = {i: c for i, c in infos.items() if ids is None or i in ids}
            good = all(c.state == running and c.node not in away_from for c in mine.values())
            return mine if mine and good and (ids is None or set(ids) <= set(mine)) else None
        out = self.await_(f"children of {supervisor} run", all_run, seconds)
        self._note_pids(out)
        return out

    def _note_pids(self, infos):
        for info in infos.values():
            pid = f"{info.pid.node_id} {info.pid.incarnation} {info.pid.id}"
            self.recorder.note("pid", pid=pid, child=info.id, fence=info.fence)

    def start_probes(self, supervisor, ids, on=None, **more):
        """Children with ticks, on the node `on` or wherever they fit, whose death of a node must not be counted."""
        placement = [dict(placement=self.api.on(on))] if on else [{}]
        specs = [self.api.child(i, options={"tick_ms": 50}, **placement[0], **more) for i in ids]
        self.api.start_supervisor(supervisor, specs, intensity=0)
        return self.await_running(supervisor)

    def start_child(self, supervisor, spec, request_id, seconds=PATIENCE):
        """Its ChildInfo; the operation is in the history."""
        self.recorder.note("op_begin", request_id=request_id, kind="start", child=spec.id)
        info = self.api.start_child(supervisor, spec, request_id, seconds)
        self.recorder.note("op_ack", request_id=request_id, kind="start", child=spec.id, fence=info.fence)
        return info

    def link(self, a, b):
        """The probe `a` links to and monitors the probe `b`."""
        self.api.order(a, f"link {self.api.pid(b)}")
        self.api.order(a, f"monitor {self.api.pid(b)}")
        self.api.order(a, "count")  # behind the others, so they are under way

    def await_linked(self, id, peer):
        """Until the process of `id` itself shows a link to a process of `peer`."""
        pid = self.api.pid(peer)
        request = pb.actors_pb2.GetActorRequest(target=self.api.named(id))

        def linked():
            links = self.api.actors.GetActor(request, timeout=5).actor.links
            return pid in [f"{p.node_id} {p.incarnation} {p.id}" for p in links]
        self.await_(f"{id} is linked to {peer}", linked)

    def reason(self, error):
        return client.reason_of(pb, error)

    # --- the end

    def finish(self, supervisors=("all",), available=()):
        """Waits until all is quiet, and has the checker judge what happened."""
        children = {}
        for supervisor in supervisors:
            for id, info in self.await_running(supervisor).items():
                children[id] = info.fence
                if info.module == "probe":
                    answer = self.await_(f"{id} answers", lambda: self.api.order(self.api.at(supervisor, id), "info"))
                    self.assertEqual(int(answer.split()[0]), info.fence)
        self.await_("no one else runs", lambda: not checker_inv_17(self, children), lease_seconds(10))
        self._note_ended()
        self._note_joined()
        self.recorder.note("final", children=children)
        within = int((PEER_SILENCE * SCALE + 1) * 1e9)
        events = history.read(self.history_folder)
        kinds = {e["ev"] for e in events}
        # An empty history is a good one.
        self.assertLessEqual({"joined", "durable"} | ({"start", "dispatch", "pid"} if children else set()), kinds)
        self.assertEqual(checker.check(events, within, self.paused, available), [])

    def _note_joined(self):
        for server in self.all_servers:
            for line in server.lines("joined") if server.name != "coordinator" else ():
                at = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()
                self.recorder.note("joined", t=history.from_wall(at), name=server.name, node_id=line["node_id"],
                                   inc=line["incarnation"], pid=server.pid)

    def _clean_up(self):
        self.closing = True
        for c in self.clients:
            c.close()
        for server in reversed(self.all_servers):
            server.end()
        self.net.close()
        self.recorder.close()
        problems = [p for server in self.all_servers for p in server.problems()]
        result = self._outcome.result
        failed = problems or any(test is self for test, _ in result.failures + result.errors)
        if failed and os.environ.get("BANYAN_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.assertEqual(problems, [])


def checker_inv_17(scenario, children):
    """What the end would look like now."""
    scenario._note_ended()
    scenario.tail.find()
    end = {"t": history.now_ns(), "ev": "final", "children": children}
    return list(checker.inv_17([*sorted(scenario.tail.events, key=lambda e: e["t"]), end]))


class _Result(unittest.TextTestResult):
    """Says how long each scenario took."""

    def startTest(self, test):
        self._begun = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.stream.writeln(f"{time.monotonic() - self._begun:.1f} s")

    def getDescription(self, test):
        return test.id().removeprefix("__main__.")


def main():
    """Runs the scenarios of the calling file; prints `N passed, N failed`."""
    global SCALE, BUILD, pb
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="scenarios, as Class.test_name; default: all")
    parser.add_argument("--build", default=BUILD, help="build folder with bin/banyand and bin/fault_node")
    parser.add_argument("--nightly", action="store_true", help="the product's own times in place of a tenth of them")
    options = parser.parse_args()
    BUILD, SCALE = os.path.abspath(options.build), 1 if options.nightly else SCALE
    pb = stubs.load(BUILD)
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(options.names, module) if options.names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2, resultclass=_Result).run(suite)
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed")
    sys.exit(bad != 0)
