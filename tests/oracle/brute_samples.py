"""Every table of a sampled profile by its definition alone (formats/trace/TRACE.md section 9), sample by sample.

A Reader is fed the records of one thread. It puts the frames of each sample on the plain stack of brute.Reader and
gives them the sample's time; what samples alone tell is counted beside that, for each thing that is on the stack.
"""
import math

import brute

RUNNING, GIL, BLOCKED = STATES = 0, 1, 2


class Figures:
    """Of one thing on one thread."""

    def __init__(self):
        self.samples = self.cumulative = 0
        self.ns = dict.fromkeys(STATES, 0)
        self.squares = 0.0   # of the weights of its own samples

    def variance(self, total):
        """Of its time: each sample was here, or was not, independently of the others."""
        whole = sum(total.ns.values())
        share = sum(self.ns.values()) / whole if whole else 0
        return (1 - share) ** 2 * self.squares + share ** 2 * (total.squares - self.squares)


class Reader(brute.Reader):
    DETAILS = {RUNNING: "running", GIL: "gil", BLOCKED: "blocked"}

    def __init__(self, functions, strings, excluded_files, convert):
        super().__init__(functions, strings, excluded_files, convert)
        self.nodes, self.last, self.state, self.known, self.pending = {}, (), BLOCKED, False, 0
        self.figures, self.total = {}, Figures()
        self.rows, self.seq = [], 0   # of the table events

    # --- the tree ---

    def path(self, number):
        """Frames outermost first; a node that the chunk does not define is none."""
        out = []
        while number in self.nodes:
            number, code, step = self.nodes[number]
            out.insert(0, self.frame(code, step))
        return out

    def frame(self, code, step):
        function = self.functions.get(code)
        if not function:   # its lines are all one in the sums; the step stands in place of a number
            return brute.Frame((brute.UNKNOWN, brute.UNKNOWN, 0), 0, step, False, 1, None)
        return brute.Frame(function, function[2] + step, None, False, 1, None)

    def node(self, parent, code, step):
        self.nodes[len(self.nodes) + 1] = (parent if parent in self.nodes else 0, code, step)
        self.stack = self.path(len(self.nodes))
        self.touch()

    # --- time ---

    def chunk(self, ticks, before):
        """Between chunks nothing is missing, or all of the time."""
        if self.ns is None:
            self.ns = self.first = self.convert(ticks)
        start, passed = self.move(ticks)
        self.seq = max(self.seq, before)
        if passed:
            self.gap_of(start, "lost")
        self.nodes, self.known = {}, False

    def gap_of(self, start, reason):
        self.gaps.append((start, self.ns, reason))
        self.gap_ns += self.ns - start

    def gap(self, ticks, reason):
        before, _ = self.move(ticks)
        self.gap_of(before, reason)
        self.pending = 0

    def sample(self, ticks, state, number, cpu_ns):
        self.last, self.state, self.known = self.path(number), state, True
        self.pending += cpu_ns
        self.take(ticks, 1)

    def same(self, ticks, count):
        if not self.known:   # the same as what?
            self.last, self.state = [], BLOCKED
        self.take(ticks, count)

    def take(self, ticks, count):
        _, passed = self.move(ticks)
        ran = min(self.pending, passed) if self.state == RUNNING else 0
        self.pending -= ran
        self.stack = self.last
        self.events += count
        self.events_inside = self.events
        self.seq += count
        if count:
            self.rows.append((self.seq, self.ns, self.DETAILS[self.state], *self.innermost(), len(self.last)))
        self.account(passed, passed - ran)
        self.count(self.total, passed, count)
        stack = self.visible()
        if stack:
            self.hit(stack, count)
            self.note(stack, passed, count)

    def innermost(self):
        if not self.last:
            return None, None
        frame = self.last[-1]
        return frame.function[1], frame.line if frame.activation is None else frame.activation

    # --- sums ---

    def hit(self, stack, count):
        function, line = stack[-1]
        self.functions_.add(function, hits=count)
        self.lines.add((function, line), hits=count)
        self.file_lines.add((function[0], line), hits=count)
        self.context_lines.add((self.nodes_of(stack)[-1], line), hits=count)
        self.pairs.add(self.pairs_of(stack)[-1], samples=count)
        for edge in set(self.edges_of(stack)):
            self.edges.add(edge, hits=count)
        for edge in self.outer_edges_of(stack):
            self.edges.add(edge, outer_hits=count)

    def count(self, figures, passed, count):
        figures.samples += count
        figures.ns[self.state] += passed
        figures.squares += passed * passed / count if count else 0

    def things(self, stack):
        """For each place what it stands for: function, line of it, line of the file, edge."""
        return [(("function", function), ("line", function, line), ("file", function[0], line), ("edge", edge))
                for (function, line), edge in zip(stack, self.edges_of(stack))]

    def note(self, stack, passed, count):
        things = self.things(stack)
        for thing in {thing for place in things for thing in place}:
            self.figures.setdefault(thing, Figures()).cumulative += count
        for thing in things[-1]:
            self.count(self.figures[thing], passed, count)

    def end_at_last_sample(self):
        self.stack = [frame._replace(since=self.ns) for frame in self.last]


def columns(readers, *thing):
    """samples, cumulative_samples, running, GIL, blocked, error of the thing on all threads together."""
    found = [(reader.figures[thing], reader.total) for reader in readers if thing in reader.figures]
    error = math.sqrt(max(0, sum(figures.variance(total) for figures, total in found)))
    return (sum(figures.samples for figures, _ in found), sum(figures.cumulative for figures, _ in found),
            *(sum(figures.ns[state] for figures, _ in found) for state in STATES), error)
