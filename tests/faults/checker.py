"""Judges a history: the invariants of cluster.md 8 that real processes can show.

Every check takes the events in order of time and yields a sentence for each thing that must not be. What the probes
write is described in probe.cc, what the test writes in scenario.py:

  start, exit, dispatch{end}, ext_write{accepted,seq}     of child{fence} on node
  link, unlink, monitor{ref}, exit_signal, down{ref}      of child{fence}; `to`, `from` are pids
  recv{from,number}                                       a numbered message
  joined{name,node_id,inc,pid}, dead{name,node_id,inc}    from the nodes' logs and the coordinator's events
  durable{child,fence,node_id,inc}                        an assignment that the store holds
  pid{pid,child,fence}, proc_end{proc}                    which process a pid is; an OS process has ended
  op_begin, op_ack{request_id,kind,child,fence}           what was asked for, and answered
  final{children}                                         all is quiet: the children that must run, with their fences
"""
import collections

# How long news may take to where it is acted on; the machine is busy.
NEWS_NS = 2_000_000_000


def _of(events, *kinds):
    return [e for e in events if e["ev"] in kinds]


def _life(event):
    return event["child"], event["fence"]


def _name(life):
    return f"{life[0]} with fence {life[1]:x}"


def _end_of(events):
    finals = _of(events, "final")
    return finals[-1]["t"] if finals else float("inf")


class _Lives:
    """When each start of a child began and ended: by itself, or with its OS process."""

    def __init__(self, events):
        self.starts = {_life(e): e for e in _of(events, "start")}
        self._exits = {}
        for e in _of(events, "exit"):
            self._exits.setdefault(_life(e), e["t"])
        self._proc_ends = {e["of"]: e["t"] for e in _of(events, "proc_end")}
        self.by_pid = {e["pid"]: _life(e) for e in _of(events, "pid")}

    def end(self, life):
        """When it was over; infinity: it was not."""
        start = self.starts.get(life)
        proc = self._proc_ends.get(start["proc"], float("inf")) if start else float("inf")
        return min(self._exits.get(life, float("inf")), proc)

    def ended_by(self, life, t):
        return self.end(life) <= t


def inv_3(events):
    """A life of a node belongs to one process, and lives rise."""
    owner, last = {}, {}
    for e in _of(events, "joined"):
        life = (e["name"], e["inc"])
        if owner.setdefault(life, e["pid"]) != e["pid"]:
            yield f"INV-3: {life[0]} incarnation {life[1]} is process {owner[life]} and {e['pid']}"
        if e["inc"] < last.get(e["name"], 0):
            yield f"INV-3: {e['name']} joined as {e['inc']} after {last[e['name']]}"
        last[e["name"]] = max(e["inc"], last.get(e["name"], 0))


def inv_4(events):
    """Nothing comes from a life that is over, once that is known."""
    dead = {}
    for e in events:
        if e["ev"] == "dead":
            dead.setdefault((e["node_id"], e["inc"]), e["t"])
        elif e["ev"] == "joined":
            if e["t"] > dead.get((e["node_id"], e["inc"]), float("inf")) + NEWS_NS:
                yield f"INV-4: {e['name']} joined as incarnation {e['inc']}, which was dead"
        elif e["ev"] == "recv":
            node_id, inc, _ = map(int, e["from"].split())
            if e["t"] > dead.get((node_id, inc), float("inf")) + NEWS_NS:
                yield f"INV-4: {e['child']} got message {e['number']} of ({node_id}, {inc}), which was dead"


def inv_5(events, paused=(), available=()):
    """No code of two lives of a child runs at a time. `paused`: nodes that were stopped in the middle of code."""
    spans = collections.defaultdict(dict)  # child: {fence: [first begin, last end]}
    for e in _of(events, "dispatch"):
        if e["node"] in paused or e["child"] in available:
            continue
        span = spans[e["child"]].setdefault(e["fence"], [e["t"], e["end"]])
        span[0], span[1] = min(span[0], e["t"]), max(span[1], e["end"])
    for child, lives in spans.items():
        ordered = sorted(lives.items())
        for (fence, span), (later, next_span) in zip(ordered, ordered[1:]):
            if span[1] > next_span[0]:
                ms = (span[1] - next_span[0]) / 1e6
                yield f"INV-5: {_name((child, fence))} still ran {ms:.1f} ms after the begin of {later:x}"


def inv_6(events):
    """Fences rise with starts, and no older one is accepted after a newer one."""
    last = {}
    for e in _of(events, "start"):
        if e["fence"] <= last.get(e["child"], 0):
            yield f"INV-6: {_name(_life(e))} started after {last[e['child']]:x}"
        last[e["child"]] = max(e["fence"], last.get(e["child"], 0))
    highest = {}
    for e in sorted(_of(events, "ext_write"), key=lambda e: (e["child"], e["seq"])):
        if e["accepted"] and e["fence"] < highest.get(e["child"], 0):
            yield f"INV-6: a write of {_name(_life(e))} was accepted after {highest[e['child']]:x}"
        highest[e["child"]] = max(e["fence"] if e["accepted"] else 0, highest.get(e["child"], 0))


def inv_7(events):
    """An assignment is durable before the child starts. Only with a store that was watched."""
    names = {e["node_id"]: e["name"] for e in _of(events, "joined")}
    durable = {}
    if not _of(events, "durable"):
        return
    for e in events:
        if e["ev"] == "durable":
            durable[_life(e)] = (names.get(e["node_id"]), e["inc"])
        elif e["ev"] == "start" and e["fence"]:
            where = durable.get(_life(e))
            if where is None:
                yield f"INV-7: {_name(_life(e))} started, but the store does not know of it"
            elif where[0] != e["node"]:
                yield f"INV-7: {_name(_life(e))} started on {e['node']}, assigned to {where[0]}"


def inv_8(events):
    """A request has one answer, and one child."""
    answers = collections.defaultdict(set)
    for e in _of(events, "op_ack"):
        answers[e["request_id"]].add((e["child"], e.get("fence")))
    for request, seen in answers.items():
        if len(seen) > 1:
            yield f"INV-8: {request} was answered with {sorted(map(str, seen))}"
    lives = _Lives(events)
    for child, starts in _by_child(lives).items():
        for before, after in zip(starts, starts[1:]):
            end = lives.end(before)
            if end > lives.starts[after]["t"] and lives.starts[before]["node"] == lives.starts[after]["node"]:
                yield f"INV-8: {_name(after)} started on {lives.starts[after]['node']} beside {_name(before)}"


def _by_child(lives):
    out = collections.defaultdict(list)
    for life in sorted(lives.starts, key=lambda life: lives.starts[life]["t"]):
        out[life[0]].append(life)
    return out


def inv_10(events, within_ns):
    """A link breaks once at each end: when its peer ends, and at both ends or at none when the session does."""
    lives, end = _Lives(events), _end_of(events)
    pids = {life: pid for pid, life in lives.by_pid.items()}
    links = {}  # (life, pid): when it was made, or None after an unlink
    fired = collections.defaultdict(list)
    for e in events:
        if e["ev"] == "link":
            links[_life(e), e["to"]] = e["t"]
            fired.pop((_life(e), e["to"]), None)  # it is a new one, at both ends
            fired.pop((lives.by_pid.get(e["to"]), pids.get(_life(e))), None)
        elif e["ev"] == "unlink":
            links[_life(e), e["to"]] = None
        elif e["ev"] == "exit_signal":
            key = _life(e), e["from"]
            fired[key].append(e["t"])
            if len(fired[key]) > 1:
                yield f"INV-10: {_name(key[0])} got the exit of {e['from']} twice"
            elif links.get(key, 0) is None:
                yield f"INV-10: {_name(key[0])} got the exit of {e['from']} after its unlink"
    for (life, to), made in links.items():
        peer = lives.by_pid.get(to)
        if made is None or peer is None or lives.ended_by(life, end):
            continue
        over = lives.end(peer)
        if over + within_ns < end and not fired[life, to]:
            yield f"INV-10: {_name(life)} heard nothing of the end of {_name(peer)}"
        both = life in pids and not lives.ended_by(peer, end)
        if both and fired[life, to] and not fired[peer, pids[life]] and fired[life, to][0] + within_ns < end:
            yield f"INV-10: {_name(life)} lost its link with {_name(peer)}, which did not"
        if both and fired[peer, pids[life]] and not fired[life, to] and fired[peer, pids[life]][0] + within_ns < end:
            yield f"INV-10: {_name(peer)} lost its link with {_name(life)}, which did not"


def inv_12(events, within_ns):
    """A monitor fires once, and does when its target is gone."""
    lives, end = _Lives(events), _end_of(events)
    monitors = {(_life(e), e["ref"]): e for e in _of(events, "monitor")}
    downs = collections.Counter((_life(e), e["ref"]) for e in _of(events, "down"))
    for (life, ref), count in downs.items():
        if count > 1:
            yield f"INV-12: monitor {ref} of {_name(life)} fired {count} times"
    for (life, ref), e in monitors.items():
        target = lives.by_pid.get(e["to"])
        if target is None or lives.ended_by(life, end):
            continue
        if max(lives.end(target), e["t"]) + within_ns < end and not downs[life, ref]:
            yield f"INV-12: monitor {ref} of {_name(life)} did not fire for {_name(target)}"


def inv_13(events):
    """Messages of one process to another come in order, each at most once."""
    last = {}
    for e in _of(events, "recv"):
        key = _life(e), e["from"]
        if e["number"] <= last.get(key, 0):
            yield f"INV-13: {_name(key[0])} got {e['number']} after {last[key]} from {e['from']}"
        last[key] = e["number"]


def inv_17(events):
    """In the end each child that shall run does so exactly once, with the fence that the coordinator has."""
    lives, end = _Lives(events), _end_of(events)
    running = collections.defaultdict(list)
    for life, start in lives.starts.items():
        if life[1] and start["t"] <= end and not lives.ended_by(life, end):
            running[life[0]].append(life[1])
    for e in _of(events, "final")[-1:]:
        for child, fence in e["children"].items():
            if running[child] != [fence]:
                seen = ", ".join(f"{f:x}" for f in running[child]) or "nothing"
                yield f"INV-17: {child} shall run with {fence:x} alone; {seen} runs"
        for child in set(running) - set(e["children"]):
            if running[child]:
                yield f"INV-17: {child} runs, but shall not"


def inv_18(events):
    """What was acknowledged is there in the end."""
    finals = _of(events, "final")
    if not finals:
        return
    there = {}
    for e in _of(events, "op_ack"):
        there[e["child"]] = e["kind"] == "start"
    for child, wanted in there.items():
        if wanted != (child in finals[-1]["children"]):
            yield f"INV-18: the last acknowledged change of {child} is lost"


def check(events, within_ns, paused=(), available=()):
    """All that is wrong with a history. `within_ns`: how long a lost session may go unnoticed."""
    wrong = [*inv_3(events), *inv_4(events), *inv_5(events, paused, available), *inv_6(events), *inv_7(events),
             *inv_8(events), *inv_10(events, within_ns), *inv_12(events, within_ns), *inv_13(events), *inv_17(events),
             *inv_18(events)]
    return wrong
