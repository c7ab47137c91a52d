"""A coordinator and nodes as processes on loopback, for the rows of tests/bench/run."""
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

import grpc

START_SECONDS_MAX = 20
STUBS = tempfile.mkdtemp(prefix="banyan-bench-stubs-")


def load_stubs():
    subprocess.run(["client/python/generate", STUBS], check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, STUBS)
    names = ["actors_pb2", "actors_pb2_grpc", "cluster_pb2", "cluster_pb2_grpc", "supervisors_pb2",
             "supervisors_pb2_grpc", "types_pb2"]
    modules = {n: importlib.import_module(f"banyan.v1.{n}") for n in names}
    modules["kv_pb2"] = importlib.import_module("banyan.modules.v1.kv_pb2")
    shutil.rmtree(STUBS, ignore_errors=True)
    return type("Stubs", (), modules)


class Cluster:
    """`with Cluster(BIN, nodes=2) as c`: all has joined; leaves nothing behind."""
    _pb = None

    def __init__(self, binaries, nodes):
        Cluster._pb = Cluster._pb or load_stubs()
        self._dir = tempfile.mkdtemp(prefix="banyan-bench-")
        self._processes = []
        self._addresses = []
        try:
            self._coordinator = self._start_coordinator(binaries)
            for i in range(nodes):
                self._start_node(binaries, i)
            self._channel = grpc.insecure_channel(self._coordinator)
            self._supervise()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in reversed(self._processes):
            p.kill()
            p.wait()
            for pipe in (p.stdin, p.stdout):
                if pipe:
                    pipe.close()
        shutil.rmtree(self._dir, ignore_errors=True)

    def address(self, node):
        return self._addresses[node]

    def _log(self, name):
        return open(os.path.join(self._dir, name + ".log"), "w")

    def _start_coordinator(self, binaries):
        port_file = os.path.join(self._dir, "coordinator.port")
        self._processes.append(subprocess.Popen(
            [f"{binaries}/banyand", "coordinator", "--listen", "127.0.0.1:0", "--port-file", port_file, "--state-dir",
             os.path.join(self._dir, "coordinator"), "--log-level", "error"],
            stdout=subprocess.DEVNULL, stderr=self._log("coordinator")))
        return self._until("the coordinator", lambda: os.path.exists(port_file) and open(port_file).read().strip())

    def _start_node(self, binaries, i):
        p = subprocess.Popen(
            [f"{binaries}/bench_node", "--name", f"n{i}", "--listen", "127.0.0.1:0", "--coordinator", self._coordinator,
             "--state-dir", os.path.join(self._dir, f"n{i}"), "--log-level", "error"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log(f"n{i}"), text=True)
        self._processes.append(p)
        self._addresses.append(p.stdout.readline().strip())

    def _until(self, what, probe):
        """The first true answer of `probe`, asked again and again."""
        deadline = time.monotonic() + START_SECONDS_MAX
        last = None
        while time.monotonic() < deadline:
            try:
                if answer := probe():
                    return answer
            except grpc.RpcError as e:
                last = e.details()
            time.sleep(0.05)
        raise RuntimeError(f"{what} is not there after {START_SECONDS_MAX} s: {last}")

    def _supervise(self):
        pb = self._pb
        spec = pb.types_pb2.SupervisorSpec(strategy=pb.types_pb2.SupervisorSpec.STRATEGY_ONE_FOR_ONE)
        self._supervisors = pb.supervisors_pb2_grpc.SupervisorsStub(self._channel)
        self._actors = pb.actors_pb2_grpc.ActorsStub(self._channel)
        request = pb.supervisors_pb2.StartSupervisorRequest(
            spec=spec, name="bench_sup", cluster_wide=True, request_id=str(uuid.uuid4()))
        self._until("the supervisor", lambda: self._supervisors.StartSupervisor(request, timeout=5))

    def _start(self, name, module, on):
        pb = self._pb
        spec = pb.types_pb2.ChildSpec(id=name, start=pb.types_pb2.StartSpec(module=module, name=name),
                                      placement=pb.types_pb2.Placement(node=f"n{on}"))
        request = pb.supervisors_pb2.StartChildRequest(
            supervisor=pb.types_pb2.Target(name="bench_sup"), spec=spec)

        def start():
            # A new request each time: that no node fits, while the node joins, is an answer for good.
            request.request_id = str(uuid.uuid4())
            return self._supervisors.StartChild(request, timeout=5)

        self._until(name, start)
        where = pb.actors_pb2.WhereisRequest(target=pb.types_pb2.Target(name=name))
        return self._until(name, lambda: self._actors.Whereis(where, timeout=5)).pid

    def _call(self, name, message, timeout):
        request = self._pb.actors_pb2.CallRequest(target=self._pb.types_pb2.Target(name=name))
        request.payload.value.Pack(message)
        request.timeout.FromSeconds(timeout)
        return self._actors.Call(request, timeout=timeout).payload

    def start_kv(self, name, on):
        """A kv actor with 100 bytes under the key "bench"."""
        self._start(name, "kv", on)
        self._call(name, self._pb.kv_pb2.Put(key="bench", value=b"x" * 100), 5)

    def _order(self, text):
        reply = self._pb.kv_pb2.GetReply()
        self._call("caller", self._pb.kv_pb2.Get(key=text), 120).value.Unpack(reply)
        return float(reply.value)

    def _pair(self):
        """Starts `caller` on node 0 and `callee` on node 1; the callee's pid as the module takes it."""
        self._start("caller", "bench", 0)
        pid = self._start("callee", "bench", 1)
        return f"{pid.node_id} {pid.incarnation} {pid.id}"

    def node_calls(self, callers, calls_each):
        return self._order(f"calls {self._pair()} {callers} {calls_each}")

    def kill_to_down_ms(self):
        return self._order(f"kill {self._pair()} {self._processes[2].pid}")
