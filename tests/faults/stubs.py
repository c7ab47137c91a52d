"""The generated Python code of the API, and of the coordinator's store; made once for each build folder."""
import fcntl
import glob
import importlib
import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
NAMES = ["actors_pb2", "actors_pb2_grpc", "cluster_pb2", "cluster_pb2_grpc", "registry_pb2", "registry_pb2_grpc",
         "supervisors_pb2", "supervisors_pb2_grpc", "types_pb2"]


def _generate(out):
    newest = max(os.path.getmtime(p) for p in glob.glob(f"{ROOT}/proto/**/*.proto", recursive=True))
    done = os.path.join(out, "done")
    if os.path.exists(done) and os.path.getmtime(done) > newest:
        return
    subprocess.run([f"{ROOT}/client/python/generate", out], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["protoc", "-I", f"{ROOT}/proto", f"--python_out={out}", "banyan/internal/v1/store.proto"],
                   check=True, cwd=f"{ROOT}/proto")
    open(done, "w").close()


def load(build):
    """An object with the modules of banyan.v1, kv_pb2, store_pb2 and error_details_pb2."""
    out = os.path.join(build, "python_stubs")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _generate(out)
    sys.path.insert(0, out)
    modules = {n: importlib.import_module(f"banyan.v1.{n}") for n in NAMES}
    modules["kv_pb2"] = importlib.import_module("banyan.modules.v1.kv_pb2")
    modules["store_pb2"] = importlib.import_module("banyan.internal.v1.store_pb2")
    modules["status_pb2"] = importlib.import_module("google.rpc.status_pb2")
    modules["error_details_pb2"] = importlib.import_module("google.rpc.error_details_pb2")
    return type("Stubs", (), modules)
