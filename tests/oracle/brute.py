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


class Sums(dict):
    """name of a figure -> number, by key."""

    def add(self, key, /, **figures):
        row = self.setdefault(key, collections.Counter())
        row.update(figures)


class Reader:
    def __init__(self, functions, strings, excluded_files, convert):
        self.functions, self.strings = functions, strings     # by number
        self.excluded_files, self.convert = excluded_files, convert
        self.stack, self.next, self.suspended = [], 1, {}
        self.ns = self.first = None
        self.time = self.wait_total = 0
        self.cpu_pending = None
        self.sequence = self.events = self.lost = 0
        self.functions_, self.lines, self.file_lines, self.edges = Sums(), Sums(), Sums(), Sums()
        self.contexts, self.context_lines, self.context_edges = Sums(), Sums(), Sums()
        self.contexts.add((), time=0)
        self.gaps, self.marks = [], []
        self.gap_ns = 0

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
        for node in self.nodes_of(stack):
            self.contexts.add(node, time=0)
        for edge in self.context_edges_of(stack):
            self.context_edges.add(edge, time=0)

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
        self.account(passed, wait)

    # --- chunks ---

    def chunk(self, sequence, ticks, before, cpu, record):
        """record: (next, depth, kept, [(code, line, activation), ...])"""
        first = self.ns is None
        if first:
            self.ns = self.first = self.convert(ticks)
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
            self.account(passed, wait)
        elif missing:
            self.note_gap(self.ns, "lost")
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
        self.gaps.append((start, self.ns, reason))
        self.gap_ns += self.ns - start

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
            self.stack.append(Frame((UNKNOWN, UNKNOWN, 0), 0, None, False, left, self.ns))
        for number, line, activation in frames:
            function = self.functions.get(number)
            self.stack.append(Frame(function or (UNKNOWN, UNKNOWN, 0), line if function else 0, activation, False, 1,
                                    self.ns))
        self.next = following

    # --- events; each begins with the ticks of its stamp ---

    def pop_c(self):
        while self.stack and self.stack[-1].is_c:
            self.stack.pop()

    def event(self, ticks):
        self.events += 1
        self.pass_time(ticks)

    def cpu(self, ns):
        self.cpu_pending = (self.cpu_pending or 0) + ns

    def line(self, ticks, step):
        self.event(ticks)
        self.pop_c()
        if not self.stack:
            return
        top = self.stack[-1]
        self.stack[-1] = top = top._replace(line=0 if top.function[0] == UNKNOWN else top.line + step)
        if self.excluded(top.function):
            return
        stack = self.visible()
        function, line = stack[-1]
        self.functions_.add(function, hits=1)
        self.lines.add((function, line), hits=1)
        self.file_lines.add((function[0], line), hits=1)
        self.context_lines.add((self.nodes_of(stack)[-1], line), hits=1)
        for edge in set(self.edges_of(stack)):
            self.edges.add(edge, hits=1)
        for edge in self.outer_edges_of(stack):
            self.edges.add(edge, outer_hits=1)

    def push(self, frame, what):
        before = self.visible()
        self.stack.append(frame)
        stack = self.visible()
        self.touch()
        if what is None or len(stack) == len(before):
            return
        edge, node = self.edges_of(stack)[-1], self.nodes_of(stack)[-1]
        self.functions_.add(frame.function, **{what: 1})
        self.edges.add(edge, **{what: 1})
        if what != "calls":
            return
        above = self.nodes_of(before)[-1] if before else ()
        self.functions_.add(frame.function, primitive=frame.function not in [function for function, _ in before])
        self.edges.add(edge, primitive=edge not in self.edges_of(before))
        self.contexts.add(node, calls=1, recursive=frame.function in above)
        self.context_edges.add(self.context_edges_of(stack)[-1], calls=1)

    def function(self, number):
        return self.functions.get(number, (UNKNOWN, UNKNOWN, 0))

    def call(self, ticks, number):
        self.event(ticks)
        function = self.function(number)
        self.push(Frame(function, function[2], self.next, False, 1, self.ns), "calls")
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
        self.push(frame._replace(repeat=1, since=self.ns), "resumes")

    def go_on(self, ticks, number, step, activation):
        self.event(ticks)
        self.next += activation == self.next
        function = self.function(number)
        line = 0 if function[0] == UNKNOWN else function[2] + step
        self.push(Frame(function, line, activation, False, 1, self.ns), "resumes")

    def raise_(self, ticks):
        self.event(ticks)
        self.pop_c()

    def c_call(self, ticks, number):
        self.event(ticks)
        if self.stack:
            name = self.strings.get(number, UNKNOWN)
            self.push(Frame((BUILTIN, name, 0), 0, None, True, 1, self.ns), "calls")

    def c_return(self, ticks):
        self.event(ticks)
        if self.stack and self.stack[-1].is_c:
            self.stack.pop()

    def mark(self, ticks, number):
        self.event(ticks)
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
