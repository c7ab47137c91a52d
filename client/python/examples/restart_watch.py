#!/usr/bin/python3
"""Starts a child, crashes it, and watches Banyan bring it back.

    client/python/generate build/python
    PYTHONPATH=build/python client/python/examples/restart_watch.py --addr localhost:7400

Everything here is plain gRPC: the same calls work from any language that has it. Steps:

  1. Make sure there is a supervisor (StartSupervisor; "already there" is fine).
  2. Begin to watch it (WatchEvents), before anything can happen.
  3. Start a child under it: the key-value store that ships as module "kv" (StartChild).
  4. Put a value in and read it back (Call, with the request packed in an Any).
  5. Crash the child. The call ends with an error that says so, since nobody is left to answer.
  6. Wait for the event that tells of its restart.
  7. Read the value again: it is gone, for a restarted child begins with fresh state.

Exits with 0 if all of this went as described, else with 1 and the step that did not.
"""

import argparse
import sys
import time
import uuid

import grpc

from banyan.modules.v1 import kv_pb2
from banyan.v1 import actors_pb2, actors_pb2_grpc, supervisors_pb2, supervisors_pb2_grpc, types_pb2
from google.rpc import error_details_pb2, status_pb2

KIND = supervisors_pb2.SupervisorEvent.Kind


def say(text):
    print(text, flush=True)


# ---------------------------------------------------------------- errors


def error_reason(error):
    """The word that programs branch on, e.g. "CALLEE_EXITED".

    Every failed RPC carries a google.rpc.Status in its trailers, with one ErrorInfo.
    """
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            info = error_details_pb2.ErrorInfo()
            for detail in status.details:
                if detail.Unpack(info):
                    return info.reason
    return ""


# ---------------------------------------------------------------- calls


def call(actors, target, request, reply_type, timeout):
    """Sends `request` to the process behind `target` and returns its reply.

    A call that surely did not run (UNAVAILABLE: the child is between two lives) is sent again.
    """
    message = actors_pb2.CallRequest(target=target)
    message.payload.value.Pack(request)
    end = time.monotonic() + timeout
    while True:
        try:
            response = actors.Call(message, timeout=max(0.1, end - time.monotonic()))
            break
        except grpc.RpcError as error:
            between_lives = error_reason(error) in ("CHILD_RESTARTING", "NOT_DELIVERED")
            if not between_lives or time.monotonic() > end:
                raise
            time.sleep(0.05)
    reply = reply_type()
    if not response.payload.value.Unpack(reply):
        raise RuntimeError(f"the reply is a {response.payload.value.type_url}")
    return reply


def pid_text(pid):
    generation = pid.id >> 32
    text = f"{pid.node_id}:{pid.incarnation}:{pid.id & 0xFFFFFFFF}"
    return f"{text}.{generation}" if generation else text


# ---------------------------------------------------------------- the steps


def ensure_supervisor(supervisors, name, timeout):
    # Cluster-wide: kept by the coordinator, which also tells what happens under it.
    request = supervisors_pb2.StartSupervisorRequest(
        name=name, cluster_wide=True, request_id=str(uuid.uuid4())
    )
    request.spec.strategy = types_pb2.SupervisorSpec.STRATEGY_ONE_FOR_ONE
    request.spec.intensity = 100  # this example may be run many times in a row
    request.spec.period.FromSeconds(5)
    try:
        supervisors.StartSupervisor(request, timeout=timeout)
        say(f"started supervisor {name}")
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise
        say(f"supervisor {name} is there already")


def watch(supervisors, supervisor, timeout):
    """An iterator of WatchEvents' messages that is sure to miss nothing from now on.

    The snapshot of what is there now comes first; once it is complete, all that follows is news.
    """
    request = supervisors_pb2.WatchEventsRequest(supervisor=supervisor, send_snapshot=True)
    stream = supervisors.WatchEvents(request, timeout=timeout)
    for message in stream:
        if message.snapshot_complete:
            return stream
    raise RuntimeError("the event stream ended before its snapshot was complete")


def start_child(supervisors, supervisor, child_id, timeout):
    request = supervisors_pb2.StartChildRequest(supervisor=supervisor, request_id=str(uuid.uuid4()))
    request.spec.id = child_id
    request.spec.start.module = "kv"
    request.spec.restart = types_pb2.RESTART_TYPE_PERMANENT
    child = supervisors.StartChild(request, timeout=timeout).child
    say(f"started {child_id} as {pid_text(child.pid)}")
    return child


def crash(actors, target, timeout):
    message = actors_pb2.CallRequest(target=target)
    message.payload.value.Pack(kv_pb2.Crash(message="asked for by restart_watch.py"))
    try:
        actors.Call(message, timeout=timeout)
    except grpc.RpcError as error:
        if error_reason(error) != "CALLEE_EXITED":
            raise
        say(f"crashed it: {error.code().name} {error_reason(error)}")
        return
    raise RuntimeError("the child answered instead of crashing")


def wait_for_restart(stream, child_id):
    """Reads events until `child_id` is up again; returns the child as it is then."""
    for message in stream:
        for event in message.events:
            if not event.path or event.path[-1] != child_id:
                continue
            say(f"event {KIND.Name(event.kind)} at {'/'.join(event.path)} {event.reason.type}".rstrip())
            if event.kind == supervisors_pb2.SupervisorEvent.KIND_CHILD_RESTARTED:
                return event.child
    raise RuntimeError("the event stream ended before the restart")


def remove_child(supervisors, supervisor, child_id, timeout):
    supervisors.TerminateChild(
        supervisors_pb2.TerminateChildRequest(
            supervisor=supervisor, child_id=child_id, request_id=str(uuid.uuid4())
        ),
        timeout=timeout,
    )
    supervisors.DeleteChild(
        supervisors_pb2.DeleteChildRequest(
            supervisor=supervisor, child_id=child_id, request_id=str(uuid.uuid4())
        ),
        timeout=timeout,
    )
    say(f"removed {child_id}")


def run(options):
    channel = grpc.insecure_channel(options.addr)
    actors = actors_pb2_grpc.ActorsStub(channel)
    supervisors = supervisors_pb2_grpc.SupervisorsStub(channel)
    supervisor = types_pb2.Target(name=options.supervisor)
    child_id = f"kv-{uuid.uuid4().hex[:8]}"
    # By its place, not by its pid: the place stays when the process is replaced.
    target = types_pb2.Target(
        child=types_pb2.ChildPath(supervisor=options.supervisor, child_ids=[child_id])
    )

    ensure_supervisor(supervisors, options.supervisor, options.timeout)
    stream = watch(supervisors, supervisor, options.timeout)
    before = start_child(supervisors, supervisor, child_id, options.timeout)

    call(actors, target, kv_pb2.Put(key="greeting", value=b"hello"), kv_pb2.PutReply, options.timeout)
    found = call(actors, target, kv_pb2.Get(key="greeting"), kv_pb2.GetReply, options.timeout)
    say(f"put and got back {found.value.decode()!r}")
    if found.value != b"hello":
        raise RuntimeError("the store did not return what was put")

    crash(actors, target, options.timeout)
    after = wait_for_restart(stream, child_id)
    stream.cancel()
    say(f"it is back as {pid_text(after.pid)}, restart number {after.restarts}")
    if after.pid == before.pid:
        raise RuntimeError("a restarted child must be a new process")

    fresh = call(actors, target, kv_pb2.Get(key="greeting"), kv_pb2.GetReply, options.timeout)
    say(f"its state is {'old' if fresh.found else 'fresh'}")
    if fresh.found:
        raise RuntimeError("a restarted child must begin with fresh state")
    if not options.keep:
        remove_child(supervisors, supervisor, child_id, options.timeout)
    say("done")


def main():
    parser = argparse.ArgumentParser(description="Starts a child, crashes it, watches its restart.")
    parser.add_argument("--addr", default="localhost:7400", help="a node or the coordinator")
    parser.add_argument("--supervisor", default="python-demo", help="started if it isn't there")
    parser.add_argument("--keep", action="store_true", help="leave the child running")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for each step")
    options = parser.parse_args()
    try:
        run(options)
    except grpc.RpcError as error:
        print(f"failed: {error.code().name}: {error.details()} [{error_reason(error)}]", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
