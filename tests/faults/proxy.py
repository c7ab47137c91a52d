"""The network between the servers of a test, without privileges: TCP doors that can be held shut.

A server advertises the address of its door; whoever dials that is found out by the socket's owner, so a rule is about
a pair of servers and a direction whichever of the two has dialled. Held bytes are kept, in order, as TCP's own
retransmissions would be: a cut network loses nothing of a stream that outlives it.
"""
import collections
import os
import selectors
import socket
import struct
import threading
import time

CHUNK = 256 * 1024
BUFFER_MAX = 1024 * 1024
RESET = struct.pack("ii", 1, 0)


class Rule:
    """What happens to bytes from one server to another."""

    def __init__(self):
        self.hold = False
        self.delay = 0.0
        self.rate = 0  # bytes a second; 0: all


class Pipe:
    """One direction of a connection."""

    def __init__(self, source, target, rule, before):
        self.source, self.target, self.rule, self.before = source, target, rule, before
        self.chunks = collections.deque()  # (due, bytes)
        self.size = 0
        self.eof = False
        self.closed = False
        self.next_write = 0.0

    def wants_read(self):
        return not self.eof and self.size < BUFFER_MAX

    def due(self, now):
        """Seconds until the next write; None: nothing to write."""
        if self.rule.hold or self.closed or not (self.chunks or self.eof):
            return None
        first = self.chunks[0][0] if self.chunks else 0
        return max(first, self.next_write) - now


class Connection:
    def __init__(self, client, server, there, back):
        self.client, self.server, self.there, self.back = client, server, there, back


class Network:
    """`owner_of_port`: the name of the server that has this local port of a loopback connection."""

    def __init__(self, owner_of_port):
        self._owner_of_port = owner_of_port
        self._rules = collections.defaultdict(Rule)
        self._doors = {}  # listening socket: (name, address behind it)
        self._before = {}  # name: called before bytes of that server go on
        self._connections = []
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- by the test

    def door(self, name, port):
        """Opens the door of the server `name`, which listens on `port`. The door's "host:port"."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        listener.setblocking(False)
        with self._lock:
            self._doors[listener] = (name, port)
            self._selector.register(listener, selectors.EVENT_READ, None)
        self._wake()
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def before(self, name, call):
        """`call()` runs before anything that the server `name` has sent to others is passed on."""
        self._before[name] = call

    def hold(self, source, target):
        """From now on nothing of `source` arrives at `target`; neither bytes nor ends of connections."""
        self._change(lambda r: setattr(r, "hold", True), source, target)

    def heal(self, source, target):
        self._change(lambda r: (setattr(r, "hold", False), setattr(r, "rate", 0), setattr(r, "delay", 0.0)),
                     source, target)

    def cut(self, a, b):
        self.hold(a, b)
        self.hold(b, a)

    def join(self, a, b):
        self.heal(a, b)
        self.heal(b, a)

    def slow(self, source, target, rate):
        self._change(lambda r: setattr(r, "rate", rate), source, target)

    def delay(self, source, target, seconds):
        self._change(lambda r: setattr(r, "delay", seconds), source, target)

    def reset(self, a, b):
        """Breaks the connections between the two, and drops what is in them. How many there were."""
        with self._lock:
            broken = [c for c in self._connections if {c.there.names[0], c.there.names[1]} == {a, b}]
            for connection in broken:
                self._close(connection, reset=True)
        self._wake()
        return len(broken)

    def connections(self, a, b):
        with self._lock:
            return sum({c.there.names[0], c.there.names[1]} == {a, b} for c in self._connections)

    def close(self):
        self._ending = True
        self._wake()
        self._thread.join()

    def _change(self, change, source, target):
        with self._lock:
            change(self._rules[source, target])
        self._wake()

    def _wake(self):
        os.write(self._wake_write, b"x")

    # --- the thread

    def _run(self):
        while not self._ending:
            timeout = self._flush()
            for key, mask in self._selector.select(timeout):
                if key.fileobj == self._wake_read:
                    os.read(self._wake_read, 4096)
                elif key.data is None:
                    self._accept(key.fileobj)
            self._read()
        for connection in list(self._connections):
            self._close(connection, reset=False)
        for listener in self._doors:
            listener.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _accept(self, listener):
        try:
            client, peer = listener.accept()
        except OSError:
            return
        name, port = self._doors[listener]
        server = socket.socket()
        try:
            server.connect(("127.0.0.1", port))
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            server.close()
            return
        owner = self._owner_of_port(peer[1]) or "?"
        for s in (client, server):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            there = Pipe(client, server, self._rules[owner, name], self._before.get(owner))
            back = Pipe(server, client, self._rules[name, owner], self._before.get(name))
            there.names, back.names = (owner, name), (name, owner)
            connection = Connection(client, server, there, back)
            self._connections.append(connection)
            self._selector.register(client, 0 or selectors.EVENT_READ, connection)
            self._selector.register(server, selectors.EVENT_READ, connection)

    def _read(self):
        with self._lock:
            for connection in list(self._connections):
                for pipe in (connection.there, connection.back):
                    if connection in self._connections and pipe.wants_read():
                        self._read_one(connection, pipe)

    def _read_one(self, connection, pipe):
        try:
            data = pipe.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            return self._close(connection, reset=True)
        if not data:
            pipe.eof = True
            return
        if pipe.before:
            pipe.before()
        pipe.chunks.append((time.monotonic() + pipe.rule.delay, data))
        pipe.size += len(data)

    def _flush(self):
        """Writes what is due; seconds until something else is, or None."""
        with self._lock:
            soonest = None
            for connection in list(self._connections):
                for pipe in (connection.there, connection.back):
                    if connection not in self._connections:
                        continue
                    wait = self._write_one(connection, pipe)
                    if wait is not None:
                        soonest = wait if soonest is None else min(soonest, wait)
                if connection in self._connections and connection.there.closed and connection.back.closed:
                    self._close(connection, reset=False)
            self._arm()
            return soonest

    def _write_one(self, connection, pipe):
        while True:
            wait = pipe.due(time.monotonic())
            if wait is None or wait > 0:
                return wait
            if not pipe.chunks:
                pipe.closed = True
                try:
                    pipe.target.shutdown(socket.SHUT_WR)
                except OSError:
                    self._close(connection, reset=True)
                return None
            due, data = pipe.chunks.popleft()
            part = data[:max(1, pipe.rule.rate // 20)] if pipe.rule.rate else data
            try:
                sent = pipe.target.send(part)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(connection, reset=True)
                return None
            pipe.size -= sent
            if sent < len(data):
                pipe.chunks.appendleft((due, data[sent:]))
            if sent < len(part):
                return 0.002  # the receiver's buffer is full
            if pipe.rule.rate:
                pipe.next_write = time.monotonic() + sent / pipe.rule.rate

    def _arm(self):
        """Waits for input only where there is room for it."""
        for connection in self._connections:
            for source, pipe in ((connection.client, connection.there), (connection.server, connection.back)):
                registered = source in self._selector.get_map()
                if pipe.wants_read() and not registered:
                    self._selector.register(source, selectors.EVENT_READ, connection)
                elif not pipe.wants_read() and registered:
                    self._selector.unregister(source)

    def _close(self, connection, reset):
        self._connections.remove(connection)
        for s in (connection.client, connection.server):
            if s in self._selector.get_map():
                self._selector.unregister(s)
            if reset:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                except OSError:
                    pass
            s.close()
