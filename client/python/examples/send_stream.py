#!/usr/bin/python3
"""Sends many messages to a process, in order, over one stream, and knows which of them arrived.

    client/python/generate build/python
    PYTHONPATH=build/python client/python/examples/send_stream.py --addr localhost:7400

Steps:

  1. Start a key-value store (Spawn), which the example ends again.
  2. Send it casts that all write the same key (SendStream), never more than WINDOW unconfirmed.
  3. Read the answers beside that: how far the server has confirmed, and what has failed.
  4. Read the key: it holds what was sent last, for the messages have arrived in order.

A confirmed message is in the process's mailbox. When the stream breaks, what is not confirmed may
have arrived or not: a program that opens the next one must be able to bear either.

Exits with 0 if all of this went as described, else with 1 and what did not.
"""

import argparse
import sys
import threading
import uuid

import grpc

from banyan.modules.v1 import kv_pb2
from banyan.v1 import actors_pb2, actors_pb2_grpc, types_pb2

# What the server takes before it has confirmed; beyond that it does not read.
WINDOW = 1000


class Sender:
    """One SendStream: send() may wait for room, close() waits until all is confirmed."""

    def __init__(self, actors, timeout):
        self._changed = threading.Condition()
        self._queue = []
        self._closed = False
        self._over = False
        self._sent = 0
        self.accepted = 0
        self.failures = {}  # number of a message -> the reason that it did not arrive for
        self._error = None
        self._stream = actors.SendStream(self._requests(), timeout=timeout)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, target, message):
        request = actors_pb2.SendStreamRequest(target=target, cast=True)
        request.payload.value.Pack(message)
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._sent - self.accepted < WINDOW)
            if self._over:
                raise RuntimeError(f"the stream is over: {self._error}")
            self._sent += 1
            request.seq = self._sent
            self._queue.append(request)
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._reader.join()
        if self._error is not None:
            raise self._error

    def _requests(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed or self._over)
                if not self._queue:
                    return
                request = self._queue.pop(0)
            yield request

    def _read(self):
        try:
            for answer in self._stream:
                with self._changed:
                    self.accepted = answer.accepted_seq
                    self.failures.update((f.seq, f.reason) for f in answer.failures)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify_all()


def run(options):
    actors = actors_pb2_grpc.ActorsStub(grpc.insecure_channel(options.addr))
    spawn = actors_pb2.SpawnRequest(request_id=str(uuid.uuid4()))
    spawn.start.module = "kv"
    target = types_pb2.Target(pid=actors.Spawn(spawn, timeout=options.timeout).pid)

    sender = Sender(actors, options.timeout)
    for i in range(1, options.count + 1):
        sender.send(target, kv_pb2.Put(key="last", value=str(i).encode()))
    sender.close()
    print(f"sent {options.count}, confirmed {sender.accepted}, failed {len(sender.failures)}")
    if sender.accepted != options.count or sender.failures:
        raise RuntimeError("not all messages arrived")

    get = actors_pb2.CallRequest(target=target)
    get.payload.value.Pack(kv_pb2.Get(key="last"))
    reply = kv_pb2.GetReply()
    actors.Call(get, timeout=options.timeout).payload.value.Unpack(reply)
    print(f"the key holds {reply.value.decode()}")
    actors.Exit(actors_pb2.ExitRequest(target=target, wait=True), timeout=options.timeout)
    if reply.value.decode() != str(options.count):
        raise RuntimeError("the key does not hold what was sent last")


def main():
    parser = argparse.ArgumentParser(description="Sends many messages in order over one stream.")
    parser.add_argument("--addr", default="localhost:7400", help="a node or the coordinator")
    parser.add_argument("--count", type=int, default=5000, help="how many messages")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for each step")
    options = parser.parse_args()
    try:
        run(options)
    except grpc.RpcError as error:
        print(f"failed: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
