#!/usr/bin/python3
"""Too much for a connection: F-25, F-26, F-27."""
import contextlib
import statistics
import threading
import time

import scenario
from scenario import PEER_SILENCE, Scenario, lease_seconds

RSS_GROWTH_MAX = 700 << 20  # 64 MiB wait at most; a sanitizer keeps what was freed
POOL = 144  # processes at each end; 10,000 in a nightly run
LINKS_EACH = 100  # as many as are shown of a process
LINKS_AT_ONCE = 100_000  # a session whose peer leaves 200,000 signals waiting is closed


class Loads(Scenario):
    def setUp(self):
        super().setUp()
        self.before = self.start_probes("all", ["a"], on="n1")
        self.before |= self.start_probes("others", ["x"], on="n2")
        self.before |= self.start_probes("third", ["z"], on="n3")

    def finish_unmoved(self):
        after = self.await_running("all") | self.await_running("others") | self.await_running("third")
        self.assertEqual({i: c.fence for i, c in after.items()}, {i: c.fence for i, c in self.before.items()})
        self.assertEqual(self.tail.find(ev="dead"), [])
        self.finish(("all", "others", "third"))

    def big(self, a, b, size):
        return self.api.order(a, f"big {self.api.pid(b)} {size}", seconds=60)

    def test_f25_a_message_of_100_mb(self):
        self.link("a", "x")
        self.await_linked("x", "a")
        self.assertEqual(self.big("a", "x", 100_000_000), "PAYLOAD_TOO_LARGE")
        self.assertEqual(self.big("a", "x", 100_000), "OK")
        self.assertEqual(self.tail.find(ev="exit_signal"), [])
        self.finish_unmoved()

    def test_f26_a_connection_that_takes_little(self):
        self.link("a", "x")
        self.await_linked("x", "a")
        self.link("a", "z")
        self.await_linked("z", "a")
        rss = {n: self.servers[n].rss_bytes() for n in ("n1", "n2")}
        self.net.slow("n1", "n2", 20_000)
        self.api.order("a", f"send {self.api.pid('x')} 3000 65536", seconds=60)
        self.await_event(lease_seconds(PEER_SILENCE + 15), ev="exit_signal", child="a")
        self.await_event(lease_seconds(PEER_SILENCE + 15), ev="exit_signal", child="x")
        for name, before in rss.items():
            self.assertLess(self.servers[name].rss_bytes() - before, RSS_GROWTH_MAX)
        self.assertEqual(self.tail.find(ev="exit_signal", child="z"), [])  # another session
        self.net.heal("n1", "n2")
        self.await_("the two can talk again", lambda: self.big("a", "x", 10) == "OK")
        self.finish_unmoved()

    def test_f26_a_process_that_takes_little(self):
        rss = self.servers["n2"].rss_bytes()
        self.api.order("x", "slow 1")
        for _ in range(5):
            self.api.order("a", f"send {self.api.pid('x')} 1000 1024", seconds=60)
        # Others of that node are not held up behind it: a new process answers at once.
        self.start_probes("more", ["y"], on="n2")
        self.assertEqual(self.big("a", "y", 10), "OK")
        self.assertLess(self.servers["n2"].rss_bytes() - rss, RSS_GROWTH_MAX)
        _, out_of_order = map(int, self.api.order("x", "received", seconds=60).split())
        self.assertEqual(out_of_order, 0)
        self.finish(("all", "others", "third", "more"))

    def test_f27_many_links_over_one_session(self):
        size = POOL if scenario.SCALE < 1 else 10_000
        self.start_probes("pools", ["p"], on="n1")
        self.start_probes("peers", ["q"], on="n2")
        self.api.order("p", f"pool {size}", seconds=60)
        ids = self.api.order("q", f"pool {size}", seconds=60)
        node_id, inc, _ = self.api.pid("q").split()
        step = min(LINKS_EACH, LINKS_AT_ONCE // size)
        for done in range(0, LINKS_EACH, step):
            self.api.order("p", f"mesh {node_id} {inc} {done} {step} {ids}", seconds=60)
            links = size * (done + step)
            self.await_(f"{links} links are made", lambda: self.linked("q") == links, lease_seconds(100))
        links = size * LINKS_EACH
        self.assertEqual(self.stats("p"), (links, 0, 0))
        with self.calls_meanwhile("a", through="n1"):
            self.assertGreater(self.net.reset("n1", "n2"), 0)
            for hub in ("p", "q"):
                self.await_(f"all links of {hub} fire", lambda: self.stats(hub)[1] >= links, lease_seconds(100))
        self.await_("the two can talk again", lambda: self.big("p", "q", 10) == "OK")
        for hub in ("p", "q"):
            _, fired, doubles = self.stats(hub)
            self.assertEqual((fired, doubles), (links, 0))
        self.before |= self.await_running("all")
        self.finish(("all", "others", "third", "pools", "peers"))

    @contextlib.contextmanager
    def calls_meanwhile(self, child, through):
        """One call after the other; says how long they took, the machine's other work included."""
        api, seconds, over = self.client(through), [], threading.Event()

        def call():
            while not over.is_set():
                since = time.monotonic()
                api.order(child, "pool_stats", seconds=60)
                seconds.append(time.monotonic() - since)

        thread = threading.Thread(target=call)
        thread.start()
        try:
            self.await_("calls are made", lambda: len(seconds) > 100)
            del seconds[:]
            yield
            self.await_("calls are answered", lambda: len(seconds) > 1)
        finally:
            over.set()
            thread.join()
        cut = statistics.quantiles(seconds, n=100, method="inclusive")
        print(f"{self.id().rsplit('.', 1)[-1]}: {len(seconds)} calls of another process meanwhile, "
              f"ms: median {cut[49] * 1000:.1f}, p99 {cut[98] * 1000:.1f}, longest {max(seconds) * 1000:.1f}")

    def stats(self, hub):
        return tuple(map(int, self.api.order(hub, "pool_stats", seconds=60).split()))

    def linked(self, hub):
        return int(self.api.order(hub, "pool_linked", seconds=60))


if __name__ == "__main__":
    scenario.main()
