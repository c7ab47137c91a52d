#!/usr/bin/python3
"""The checker on small histories made by hand: each invariant finds its breach, and none in a good history."""
import unittest

import checker

WITHIN = 9
PID_A, PID_B = "1 1 10", "2 1 20"


def event(t, ev, **fields):
    return {"t": t, "ev": ev, "proc": fields.pop("proc", "n1-1"), "node": fields.pop("node", "n1"), **fields}


def life(t, ev, child, fence, **fields):
    return event(t, ev, child=child, fence=fence, **fields)


def good():
    """Two linked children on two nodes; n2 is killed, and its child runs on n1."""
    return [
        event(1, "joined", name="n1", node_id=1, inc=1, pid=100),
        event(2, "joined", name="n2", node_id=2, inc=1, pid=200),
        event(3, "op_begin", request_id="r", kind="start", child="a"),
        life(4, "durable", "a", 5, node_id=1, inc=1),
        life(5, "durable", "b", 6, node_id=2, inc=1),
        life(6, "start", "a", 5),
        life(7, "start", "b", 6, proc="n2-2", node="n2"),
        event(8, "op_ack", request_id="r", kind="start", child="a", fence=5),
        event(8, "pid", pid=PID_A, child="a", fence=5),
        event(8, "pid", pid=PID_B, child="b", fence=6),
        life(9, "link", "a", 5, to=PID_B),
        life(10, "monitor", "a", 5, ref=1, to=PID_B),
        life(11, "dispatch", "b", 6, end=12, proc="n2-2", node="n2"),
        life(12, "ext_write", "b", 6, accepted=True, seq=1, proc="n2-2", node="n2"),
        life(13, "recv", "a", 5, **{"from": PID_B}, number=1),
        event(20, "proc_end", of="n2-2"),
        life(21, "exit_signal", "a", 5, **{"from": PID_B}, reason="6"),
        life(22, "down", "a", 5, **{"from": PID_B}, ref=1, reason="6"),
        event(23, "dead", name="n2", node_id=2, inc=1),
        life(24, "durable", "b", 7, node_id=1, inc=1),
        life(25, "start", "b", 7),
        life(26, "dispatch", "b", 7, end=27),
        life(27, "ext_write", "b", 7, accepted=True, seq=2),
        event(50, "final", children={"a": 5, "b": 7}),
    ]


class CheckerTest(unittest.TestCase):
    def wrong(self, *more, without=()):
        events = [e for e in good() if e["ev"] not in without] + list(more)
        return checker.check(sorted(events, key=lambda e: e["t"]), WITHIN)

    def assert_only(self, invariant, wrong):
        self.assertEqual({w.split(":")[0] for w in wrong}, {invariant}, wrong)

    def test_a_good_history_is_good(self):
        self.assertEqual(self.wrong(), [])

    def test_one_life_of_a_node_in_two_processes(self):
        self.assert_only("INV-3", self.wrong(event(30, "joined", name="n1", node_id=1, inc=1, pid=101)))

    def test_an_incarnation_that_falls(self):
        self.assert_only("INV-3", self.wrong(event(30, "joined", name="n1", node_id=1, inc=3, pid=100),
                                             event(31, "joined", name="n1", node_id=1, inc=2, pid=100)))

    def test_a_message_of_a_dead_life(self):
        late = 23 + checker.NEWS_NS + 1
        self.assert_only("INV-4", self.wrong(life(late, "recv", "a", 5, **{"from": PID_B}, number=2)))

    def test_a_dead_life_that_joins(self):
        late = 23 + checker.NEWS_NS + 1
        self.assert_only("INV-4", self.wrong(event(late, "joined", name="n2", node_id=2, inc=1, pid=200)))

    def test_two_lives_at_a_time(self):
        overlap = life(25, "dispatch", "b", 6, end=27, proc="n2-2", node="n2")
        self.assert_only("INV-5", self.wrong(overlap))
        events = sorted([*good(), overlap], key=lambda e: e["t"])
        self.assertEqual(checker.check(events, WITHIN, paused={"n2"}), [])
        self.assertEqual(checker.check(events, WITHIN, available={"b"}), [])

    def test_an_old_life_between_two_turns_of_the_new_one(self):
        self.assert_only("INV-5", self.wrong(life(30, "dispatch", "b", 6, end=31, proc="n2-2", node="n2")))

    def test_a_start_with_an_older_fence(self):
        self.assert_only("INV-6", self.wrong(life(3, "durable", "c", 9, node_id=1, inc=1), life(4, "start", "c", 9),
                                             life(5, "exit", "c", 9), life(5, "durable", "c", 8, node_id=1, inc=1),
                                             life(6, "start", "c", 8), life(7, "exit", "c", 8)))

    def test_an_old_write_that_is_accepted(self):
        self.assert_only("INV-6", self.wrong(life(30, "ext_write", "b", 6, accepted=True, seq=3, node="n2")))

    def test_an_old_write_that_is_refused_is_good(self):
        self.assertEqual(self.wrong(life(30, "ext_write", "b", 6, accepted=False, seq=3, node="n2")), [])

    def test_a_start_that_the_store_does_not_know(self):
        self.assert_only("INV-7", self.wrong(life(30, "start", "c", 9), life(31, "exit", "c", 9)))

    def test_a_start_before_it_was_durable(self):
        self.assert_only("INV-7", self.wrong(life(30, "start", "c", 9), life(31, "durable", "c", 9, node_id=1, inc=1),
                                             life(32, "exit", "c", 9)))

    def test_a_start_on_another_node(self):
        self.assert_only("INV-7", self.wrong(life(30, "durable", "c", 9, node_id=2, inc=1), life(31, "start", "c", 9),
                                             life(32, "exit", "c", 9)))

    def test_two_answers_to_one_request(self):
        self.assert_only("INV-8", self.wrong(event(30, "op_ack", request_id="r", kind="start", child="a", fence=9)))

    def test_two_lives_on_one_node(self):
        self.assertIn("INV-8", {w.split(":")[0] for w in self.wrong(
            life(30, "durable", "a", 9, node_id=1, inc=1), life(31, "start", "a", 9))})

    def test_an_exit_that_comes_twice(self):
        self.assert_only("INV-10", self.wrong(life(30, "exit_signal", "a", 5, **{"from": PID_B}, reason="6")))

    def test_an_exit_that_does_not_come(self):
        self.assert_only("INV-10", self.wrong(without=("exit_signal",)))

    def test_an_exit_after_the_unlink(self):
        self.assert_only("INV-10", self.wrong(life(15, "unlink", "a", 5, to=PID_B)))

    def test_a_link_that_breaks_at_one_end(self):
        events = [e for e in good() if e["t"] < 20] + [
            life(21, "exit_signal", "a", 5, **{"from": PID_B}, reason="6"),
            life(22, "down", "a", 5, **{"from": PID_B}, ref=1, reason="6"),
            event(50, "final", children={"a": 5, "b": 6})]
        self.assert_only("INV-10", checker.check(events, WITHIN))
        events.insert(-1, life(23, "exit_signal", "b", 6, **{"from": PID_A}, reason="6", proc="n2-2", node="n2"))
        self.assertEqual(checker.check(events, WITHIN), [])

    def test_a_monitor_that_fires_twice(self):
        self.assert_only("INV-12", self.wrong(life(30, "down", "a", 5, **{"from": PID_B}, ref=1, reason="6")))

    def test_a_monitor_that_does_not_fire(self):
        self.assert_only("INV-12", self.wrong(without=("down",)))

    def test_messages_out_of_order(self):
        self.assert_only("INV-13", self.wrong(life(14, "recv", "a", 5, **{"from": PID_B}, number=1)))

    def test_a_child_that_does_not_run(self):
        self.assert_only("INV-17", self.wrong(life(40, "exit", "b", 7)))

    def test_a_child_that_runs_twice(self):
        self.assert_only("INV-17", self.wrong(life(30, "durable", "b", 8, node_id=2, inc=2),
                                              event(29, "joined", name="n2", node_id=2, inc=2, pid=201),
                                              life(31, "start", "b", 8, proc="n2-3", node="n2")))

    def test_a_child_that_shall_not_run(self):
        self.assert_only("INV-17", self.wrong(life(30, "durable", "c", 8, node_id=1, inc=1), life(31, "start", "c", 8)))

    def test_an_acknowledged_start_that_is_lost(self):
        self.assert_only("INV-18", self.wrong(event(30, "op_ack", request_id="s", kind="start", child="c", fence=8)))

    def test_an_acknowledged_stop_that_is_undone(self):
        self.assert_only("INV-18", self.wrong(event(30, "op_ack", request_id="s", kind="terminate", child="a")))


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    print(f"{result.testsRun - len(result.failures) - len(result.errors)} passed, "
          f"{len(result.failures) + len(result.errors)} failed")
    raise SystemExit(not result.wasSuccessful())
