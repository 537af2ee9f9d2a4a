"""Every table of a profile by its definition alone: slow, without any of the analyzer's shortcuts.

A Reader is fed the events of one thread. It keeps the stack as a plain list and, for each interval between two
events, looks at everything that is on it: a thing's cumulative time is the time during which it is there at all.
"""
import collections

OUTSIDE, UNKNOWN, BUILTIN = "<outside>", "<unknown>", "<built-in>"

# A function is (file, qualname, first line); what is C has its name and line 0. Of lost frames, `repeat` of them one on
# the other are one.
Frame = collections.namedtuple("Frame", "function line activation is_c repeat since")

MAX_LINE = 2 ** 31 - 1


class Over(Exception):
    """The last window is behind us."""


class Sums(dict):
    """name of a figure -> number, by key."""

    def add(self, key, /, **figures):
        row = self.setdefault(key, collections.Counter())
        row.update(figures)


class Reader:
    def __init__(self, functions, strings, excluded_files, convert, windows=None):
        self.functions, self.strings = functions, strings     # by number
        self.excluded_files, self.convert = excluded_files, convert
        self.stack, self.next, self.suspended = [], 1, {}
        self.ns = self.first = None
        self.time = self.wait_total = 0
        self.cpu_pending = None
        self.sequence = self.events = self.events_inside = self.lost = 0
        self.functions_, self.lines, self.file_lines, self.edges = Sums(), Sums(), Sums(), Sums()
        self.pairs = Sums()
        self.contexts, self.context_lines, self.context_edges = Sums(), Sums(), Sums()
        self.contexts.add((), time=0)
        self.gaps, self.marks = [], []
        self.gap_ns = 0
        # (start, end) in ns, ascending and apart; None: everything counts
        self.windows, self.inside, self.outside_since, self.over = windows, windows is None, None, False

    # --- the stack as the books see it ---

    def excluded(self, function):
        return function[0] in self.excluded_files

    def visible(self):
        """Frames of recorded code; C functions go with the Python code that called them."""
        out, hidden = [], False
        for frame in self.stack:
            if not frame.is_c:
                hidden = self.excluded(frame.function)
            if hidden:
                continue
            out.append((frame.function, frame.line if 0 <= frame.line <= MAX_LINE else 0))
        return out

    @staticmethod
    def edges_of(stack):
        """(caller, line, callee) of each place of the stack."""
        callers = [(None, 0)] + stack[:-1]
        return [(function, line, callee) for (function, line), (callee, _) in zip(callers, stack)]

    @classmethod
    def pairs_of(cls, stack):
        """The same without the line."""
        return [(caller, callee) for caller, _, callee in cls.edges_of(stack)]

    @staticmethod
    def nodes_of(stack):
        """The context of each place of the stack: a path without recursion."""
        nodes, path = [], ()
        for function, _ in stack:
            path = path[:path.index(function) + 1] if function in path else path + (function,)
            nodes.append(path)
        return nodes

    def context_edges_of(self, stack):
        nodes = self.nodes_of(stack)
        callers = list(zip([()] + nodes[:-1], [0] + [line for _, line in stack[:-1]]))
        return [(caller, line, node) for (caller, line), node in zip(callers, nodes)]

    def outer_edges_of(self, stack):
        seen, out = set(), []
        for edge in self.edges_of(stack):
            if edge[2] not in seen:
                out.append(edge)
            seen.add(edge[2])
        return out

    # --- time ---

    def touch(self):
        """All that is on the stack has rows, even without time."""
        stack = self.visible()
        for edge in self.edges_of(stack):
            self.edges.add(edge, time=0)
        for pair in self.pairs_of(stack):
            self.pairs.add(pair, time=0)
        for node in self.nodes_of(stack):
            self.contexts.add(node, time=0)
        for edge in self.context_edges_of(stack):
            self.context_edges.add(edge, time=0)

    # --- windows ---

    def elapse(self, passed, wait=0, reason=None):
        """The last `passed` ns were time, or a gap with a reason: edge by edge."""
        start, end, waited = self.ns - passed, self.ns, 0
        for edge in sorted(edge for window in self.windows or () for edge in window if start <= edge <= end):
            if self.over or self.inside == any(a <= edge < b for a, b in self.windows):
                continue
            until = wait * (edge - end + passed) // passed if passed else 0
            self.part(start, edge, until - waited, reason)
            waited, start = until, edge
            self.turn(edge)
        self.part(start, end, wait - waited, reason)

    def part(self, start, end, wait, reason):
        if not self.inside:
            return
        if reason is None:
            self.account(end - start, wait)
        elif self.windows is None or end > start:
            self.gaps.append((start, end, reason))
            self.gap_ns += end - start

    def turn(self, edge):
        """At a window's end nothing counts any more; at its start those who are there are inherited."""
        self.inside = not self.inside
        if not self.inside:
            self.outside_since = edge
            self.over = all(end <= edge for _, end in self.windows)
            return
        if self.outside_since is None:
            self.first = edge
        elif edge > self.outside_since:
            self.gaps.append((self.outside_since, edge, "paused"))
            self.gap_ns += edge - self.outside_since
        self.stack = [frame if frame.since is not None else frame._replace(since=edge) for frame in self.stack]

    def begin(self):
        """The first stamp."""
        if self.windows is not None:
            self.over = all(end <= self.ns for _, end in self.windows)
            if any(start <= self.ns < end for start, end in self.windows):
                self.turn(self.ns)

    def stop_if_over(self):
        if self.over:
            raise Over

    def since(self):
        return self.ns if self.inside else None

    def end(self):
        """Takes out what stands on its place only."""
        if self.windows is None:
            return
        if not self.inside and self.outside_since is not None:
            self.ns = self.outside_since
        self.stack = [frame if frame.since is not None else frame._replace(since=self.ns) for frame in self.stack]
        nodes = [node for node, row in self.contexts.items() if any(row.values())]
        nodes += [node for (node, _), row in self.context_lines.items() if any(row.values())]
        nodes += self.nodes_of(self.visible())
        for (caller, _, node), row in self.context_edges.items():
            nodes += (caller, node) if any(row.values()) else ()
        used = {node[:i] for node in nodes for i in range(len(node) + 1)} | {()}
        self.contexts = Sums({node: row for node, row in self.contexts.items() if node in used})
        self.edges = Sums({key: row for key, row in self.edges.items() if any(row.values())})
        self.pairs = Sums({key: row for key, row in self.pairs.items() if any(row.values())})
        self.context_edges = Sums({key: row for key, row in self.context_edges.items() if any(row.values())})

    def account(self, passed, wait):
        self.time += passed
        self.wait_total += wait
        stack = self.visible()
        nodes = self.nodes_of(stack)
        figures = {"time": passed, "wait": wait}
        own = {"self": passed, "self_wait": wait}
        for function in {function for function, _ in stack}:
            self.functions_.add(function, **figures)
        for place in set(stack):
            self.lines.add(place, **figures)
        for place in {(function[0], line) for function, line in stack}:
            self.file_lines.add(place, **figures)
        for edge in set(self.edges_of(stack)):
            self.edges.add(edge, **figures)
        for pair in set(self.pairs_of(stack)):
            self.pairs.add(pair, **figures)
        for edge in self.outer_edges_of(stack):
            self.edges.add(edge, outer=passed, outer_wait=wait)
        for node in set(nodes) | {()}:
            self.contexts.add(node, **figures)
        for edge in set(self.context_edges_of(stack)):
            self.context_edges.add(edge, **figures)
        self.contexts.add(nodes[-1] if nodes else (), **own)
        if not stack:
            self.functions_.add((OUTSIDE, OUTSIDE, 0), **figures, **own)
            return
        function, line = stack[-1]
        self.functions_.add(function, **own)
        self.lines.add((function, line), **own)
        self.file_lines.add((function[0], line), **own)
        self.edges.add(self.edges_of(stack)[-1], **own)
        self.pairs.add(self.pairs_of(stack)[-1], **own)
        self.context_lines.add((nodes[-1], line), **own)

    def move(self, ticks):
        before, self.ns = self.ns, max(self.ns, self.convert(ticks))
        return before, self.ns - before

    def ran(self, cpu, before, passed):
        return min(max(cpu - (before - self.stamp_at), 0), passed)

    def pass_time(self, ticks):
        before, passed = self.move(ticks)
        wait = 0
        if self.cpu_pending is not None:
            wait = passed - self.ran(self.cpu_pending, before, passed)
            self.cpu_total += self.cpu_pending
            self.stamp_at, self.cpu_pending = self.ns, None
        self.elapse(passed, wait)

    # --- chunks ---

    def chunk(self, sequence, ticks, before, cpu, record):
        """record: (next, depth, kept, [(code, line, activation), ...])"""
        first = self.ns is None
        if first:
            self.ns = self.first = self.convert(ticks)
            self.begin()
            lost = before
        else:
            lost = max(0, before - self.events - self.lost)
            at, passed = self.move(ticks)
        missing = lost > 0 or sequence != self.sequence
        self.lost += lost
        if not first and missing:
            self.note_gap(at, "lost")
        elif not first:
            wait = passed - self.ran(max(0, cpu - self.cpu_total), at, passed) if passed > 20000 else 0
            self.elapse(passed, wait)
        elif missing:
            self.note_gap(self.ns, "lost")
        self.stop_if_over()
        self.sequence = sequence + 1
        self.stamp_at, self.cpu_total, self.cpu_pending, self.suspended = self.ns, cpu, None, {}
        if first or missing:
            self.adopt(record)
        elif not self.stack_is(record):
            self.adopt_same(record)   # frames that were unknown are known now
        self.touch()

    def stack_is(self, record):
        """Are the frames that the record gives those on top?"""
        _, depth, kept, frames = record
        python = [frame for frame in self.stack if not frame.is_c for _ in range(frame.repeat)]
        if len(python) != depth:
            return False
        for frame, (number, line, activation) in zip(python[kept:], frames):
            known = number in self.functions
            if (frame.function, frame.activation) != (self.function(number), activation):
                return False
            if known and frame.line != line:
                return False
        return True

    def adopt_same(self, record):
        """As adopt(), but an activation that is still where it was has been there since."""
        before = self.stack
        self.adopt(record)
        python = [i for i, frame in enumerate(self.stack) if not frame.is_c]
        for i in python[-len(record[3]):] if record[3] else []:
            if i < len(before) and before[i].activation == self.stack[i].activation and \
                    isinstance(before[i].activation, int):
                self.stack[i] = self.stack[i]._replace(since=before[i].since)

    def note_gap(self, start, reason):
        self.elapse(self.ns - start, reason=reason)

    def adopt(self, record):
        following, _, kept, frames = record
        left, keep = kept, []
        for frame in self.stack:
            if left == 0:
                break
            some = min(left, frame.repeat)
            keep.append(frame if frame.is_c else frame._replace(repeat=some))
            left -= 0 if frame.is_c else some
        self.stack = keep
        if left:
            self.stack.append(Frame((UNKNOWN, UNKNOWN, 0), 0, None, False, left, self.since()))
        for number, line, activation in frames:
            function = self.functions.get(number)
            self.stack.append(Frame(function or (UNKNOWN, UNKNOWN, 0), line if function else 0, activation, False, 1,
                                    self.since()))
        self.next = following

    # --- events; each begins with the ticks of its stamp ---

    def pop_c(self):
        while self.stack and self.stack[-1].is_c:
            self.stack.pop()

    def event(self, ticks):
        self.events += 1
        self.pass_time(ticks)
        self.stop_if_over()
        self.events_inside += self.inside

    def cpu(self, ns):
        self.cpu_pending = (self.cpu_pending or 0) + ns

    def line(self, ticks, step):
        self.event(ticks)
        self.pop_c()
        if not self.stack:
            return
        top = self.stack[-1]
        self.stack[-1] = top = top._replace(line=0 if top.function[0] == UNKNOWN else top.line + step)
        if self.excluded(top.function) or not self.inside:
            return
        stack = self.visible()
        function, line = stack[-1]
        self.functions_.add(function, hits=1)
        self.lines.add((function, line), hits=1)
        self.file_lines.add((function[0], line), hits=1)
        self.context_lines.add((self.nodes_of(stack)[-1], line), hits=1)
        for edge in set(self.edges_of(stack)):
            self.edges.add(edge, hits=1)
        for pair in self.pairs_of(stack):
            self.pairs.add(pair, hits=1)
        for edge in self.outer_edges_of(stack):
            self.edges.add(edge, outer_hits=1)

    def push(self, frame, what):
        before = self.visible()
        self.stack.append(frame)
        stack = self.visible()
        self.touch()
        if what is None or len(stack) == len(before) or not self.inside:
            return
        edge, node = self.edges_of(stack)[-1], self.nodes_of(stack)[-1]
        self.functions_.add(frame.function, **{what: 1})
        self.edges.add(edge, **{what: 1})
        self.context_edges.add(self.context_edges_of(stack)[-1], **{what: 1})
        pair = self.pairs_of(stack)[-1]
        primitive = "primitive" if what == "calls" else "primitive_resumes"
        self.pairs.add(pair, **{what: 1, primitive: pair not in self.pairs_of(before)})
        self.functions_.add(frame.function, **{
            primitive: frame.function not in [function for function, _ in before]})
        if what != "calls":
            return
        above = self.nodes_of(before)[-1] if before else ()
        self.edges.add(edge, primitive=edge not in self.edges_of(before))
        self.contexts.add(node, calls=1, recursive=frame.function in above)

    def function(self, number):
        return self.functions.get(number, (UNKNOWN, UNKNOWN, 0))

    def call(self, ticks, number):
        self.event(ticks)
        function = self.function(number)
        self.push(Frame(function, function[2], self.next, False, 1, self.since()), "calls")
        self.next += 1

    def pop(self):
        self.pop_c()
        if not self.stack:
            return None
        frame = self.stack.pop()
        if frame.repeat > 1:
            self.stack.append(frame._replace(repeat=frame.repeat - 1))
        return frame

    def leave(self, ticks):
        self.event(ticks)
        self.pop()

    def yield_(self, ticks):
        self.event(ticks)
        frame = self.pop()
        if frame and isinstance(frame.activation, int):
            self.suspended[frame.activation] = frame

    def resume(self, ticks, number):
        self.event(ticks)
        frame = self.suspended.get(number, Frame((UNKNOWN, UNKNOWN, 0), 0, number, False, 1, 0))
        self.push(frame._replace(repeat=1, since=self.since()), "resumes")

    def go_on(self, ticks, number, step, activation):
        self.event(ticks)
        self.next += activation == self.next
        function = self.function(number)
        line = 0 if function[0] == UNKNOWN else function[2] + step
        self.push(Frame(function, line, activation, False, 1, self.since()), "resumes")

    def raise_(self, ticks):
        self.event(ticks)
        self.pop_c()

    def c_call(self, ticks, number):
        self.event(ticks)
        if self.stack:
            name = self.strings.get(number, UNKNOWN)
            self.push(Frame((BUILTIN, name, 0), 0, None, True, 1, self.since()), "calls")

    def c_return(self, ticks):
        self.event(ticks)
        if self.stack and self.stack[-1].is_c:
            self.stack.pop()

    def mark(self, ticks, number):
        self.event(ticks)
        if not self.inside:
            return
        stack = self.visible()
        place = (stack[-1][0][0], stack[-1][1]) if stack else (None, None)
        self.marks.append((self.ns, self.strings.get(number, "")) + place)

    def switch(self, ticks, record):
        self.event(ticks)
        self.adopt(record)
        self.touch()

    def gap(self, ticks, reason, end_ticks, record):
        self.event(ticks)
        start, _ = self.move(end_ticks)
        self.note_gap(start, reason)
        self.stop_if_over()
        self.adopt_same(record)
        self.touch()

    def open_frames(self):
        out, hidden = [], False
        for frame in self.stack:
            if not frame.is_c:
                hidden = self.excluded(frame.function)
            if hidden:
                continue
            out.append((len(out), frame.function, frame.line if 0 <= frame.line <= MAX_LINE else 0, frame.since))
        return out
