-- profile.sql - the database that pyanalyze writes and every format reads.
--
-- Times are whole nanoseconds. `*_ns` of a line, function or edge are sums over threads; "self" is the time
-- during which the thing was on top of a thread's stack, "cumulative" the time during which it was on the stack at
-- all (recursion counts once), `*_cpu_ns` the part of either spent on a processor; the rest was waiting (I/O, locks,
-- the GIL, other threads). `hits` are line executions, `calls` fresh entries of a function, `primitive_calls` those
-- that found it not on the thread's stack, `resumes` continuations of a generator or coroutine.
-- Names that are not UTF-8 are stored with each offending byte as U+FFFD, and whole in the BLOB column `raw_…` beside.
--
-- Version history (user_version): 1 first release.

PRAGMA application_id = 0x50595243; -- "PYRC"
PRAGMA user_version = 1;

-- What made this database: version, selection, options, and what 100 % is.
--   pyanalyze_version, total_self_ns, total_self_cpu_ns, total_hits, selection (text, empty: everything),
--   selected_windows (how many owners' windows were asked for, 0: none),
--   left_out_files, left_out_self_ns (what --file omitted from reports)
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT
);

-- One row a recorded run (an input file).
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,          -- the trace's random mark, 32 hexadecimal digits
    path TEXT NOT NULL,              -- where the trace was when it was read
    host TEXT NOT NULL,
    command TEXT NOT NULL,           -- as typed, shell-quoted
    python TEXT NOT NULL,            -- version of the first process, e.g. 3.11.2
    started_at BIGINT NOT NULL,      -- ns since 1970, UTC
    duration_ns BIGINT NOT NULL,     -- first to last stamp
    clock TEXT NOT NULL,             -- tsc or monotonic
    mode TEXT NOT NULL,              -- exact, or sample: then times are estimates, hits are samples, calls are not known
    complete INTEGER NOT NULL,       -- 1: every process ended in order and nothing is damaged or missing
    lost_events BIGINT NOT NULL,     -- events known to be missing
    events BIGINT NOT NULL,
    bytes BIGINT NOT NULL,           -- size of the trace
    resolution_ns REAL NOT NULL,     -- one unit of time in the trace
    cwd TEXT NOT NULL,
    system TEXT NOT NULL,
    recorder TEXT NOT NULL           -- version of pyrec
);

-- Everything worth a warning: damage, lost parts, unknown records. Empty is good.
CREATE TABLE warnings (
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    text TEXT NOT NULL
);

CREATE TABLE processes (
    process_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    number INTEGER NOT NULL,         -- the process's number in its trace
    pid BIGINT NOT NULL,
    parent_process_id INTEGER REFERENCES processes (process_id),
    how TEXT NOT NULL,               -- first, fork, spawn, exec
    command TEXT NOT NULL,
    python TEXT NOT NULL,
    start_ns BIGINT NOT NULL,        -- since the start of the run
    end_ns BIGINT NOT NULL,          -- last stamp
    ended TEXT NOT NULL              -- exit N, signal N, exec, unknown
);

CREATE TABLE threads (
    thread_id INTEGER PRIMARY KEY,
    process_id INTEGER NOT NULL REFERENCES processes (process_id),
    number INTEGER NOT NULL,         -- the thread's number in its trace
    native_id BIGINT NOT NULL,
    name TEXT NOT NULL,              -- e.g. MainThread; never empty
    is_main INTEGER NOT NULL,        -- 1 in one thread of each process
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    events BIGINT NOT NULL
);

-- Unique by (path, sha256): two texts under one path are two files, never summed. Paths that differ only in bytes
-- that are not UTF-8 differ in raw_path.
CREATE TABLE files (
    file_id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,              -- as recorded: absolute, or <...>
    sha256 TEXT NOT NULL,            -- of the text, hexadecimal; empty if the text was never known
    name TEXT NOT NULL,              -- relative to the sys.path entry it came from
    origin TEXT NOT NULL,            -- program, stdlib, site, frozen, generated
    line_count INTEGER NOT NULL,     -- of the text, 0 if unknown
    changed INTEGER,                 -- 1: the file on this machine differs today; NULL: not there or not known
    source BLOB,                     -- the text as recorded; NULL: not recorded
    raw_path BLOB,                   -- the path's bytes where they are not UTF-8, else NULL
    UNIQUE (path, sha256, raw_path)
);

CREATE TABLE functions (
    function_id INTEGER PRIMARY KEY,
    file_id INTEGER NOT NULL REFERENCES files (file_id),
    file TEXT NOT NULL,              -- files.path
    module TEXT NOT NULL,            -- __name__ of the module, may be empty
    name TEXT NOT NULL,              -- co_name
    qualname TEXT NOT NULL,          -- co_qualname; before 3.11 co_name
    first_line INTEGER NOT NULL,
    kind TEXT NOT NULL,              -- function, generator, class, module, outside, c
    calls BIGINT NOT NULL,
    primitive_calls BIGINT NOT NULL,
    resumes BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,
    cumulative_cpu_ns BIGINT NOT NULL,
    samples BIGINT NOT NULL DEFAULT 0, -- of a sampled run; these six are 0 in an exact one
    cumulative_samples BIGINT NOT NULL DEFAULT 0,
    running_ns BIGINT NOT NULL DEFAULT 0, -- parts of self_ns: on a processor, or ready for one
    gil_wait_ns BIGINT NOT NULL DEFAULT 0, -- waiting for the interpreter's lock
    blocked_ns BIGINT NOT NULL DEFAULT 0, -- waiting for something else
    error_ns BIGINT NOT NULL DEFAULT 0 -- the standard error of self_ns
);
-- Time during which no recorded function was on a thread's stack (between two thread-level calls) is the self time
-- of a function of kind `outside`, named <outside>, in the file <outside>; it has no calls, lines or text.

-- A row for every executable line of every code object seen, also with 0 hits, and for every line that has time.
CREATE TABLE lines (
    file_id INTEGER NOT NULL REFERENCES files (file_id),
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    function TEXT NOT NULL,          -- qualname of the function it is in (of several: of the one with most hits)
    hits BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,
    cumulative_cpu_ns BIGINT NOT NULL,
    executable INTEGER NOT NULL,     -- 0: no instruction of its own, time only (a def line, from CALL to first LINE)
    text TEXT, -- the source line without its end, NULL if not known
    samples BIGINT NOT NULL DEFAULT 0, -- of a sampled run; these six are 0 in an exact one
    cumulative_samples BIGINT NOT NULL DEFAULT 0,
    running_ns BIGINT NOT NULL DEFAULT 0, -- parts of self_ns: on a processor, or ready for one
    gil_wait_ns BIGINT NOT NULL DEFAULT 0, -- waiting for the interpreter's lock
    blocked_ns BIGINT NOT NULL DEFAULT 0, -- waiting for something else
    error_ns BIGINT NOT NULL DEFAULT 0 -- the standard error of self_ns
);

-- The grain below `lines`: one row a thread, function and line that has hits or time.
CREATE TABLE line_stats (
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    function_id INTEGER NOT NULL REFERENCES functions (function_id),
    line INTEGER NOT NULL,
    hits BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,
    cumulative_cpu_ns BIGINT NOT NULL,
    samples BIGINT NOT NULL DEFAULT 0, -- of a sampled run; these six are 0 in an exact one
    cumulative_samples BIGINT NOT NULL DEFAULT 0,
    running_ns BIGINT NOT NULL DEFAULT 0, -- parts of self_ns: on a processor, or ready for one
    gil_wait_ns BIGINT NOT NULL DEFAULT 0, -- waiting for the interpreter's lock
    blocked_ns BIGINT NOT NULL DEFAULT 0, -- waiting for something else
    error_ns BIGINT NOT NULL DEFAULT 0 -- the standard error of self_ns
);

-- Who called whom from which line, summed over threads. Roots have caller_* NULL.
-- Resumes are edges too, from the line that resumed: `calls` does not count them, the times do.
CREATE TABLE edges (
    caller_function_id INTEGER REFERENCES functions (function_id),
    caller_file TEXT,
    caller_function TEXT,            -- qualname
    caller_line INTEGER,
    callee_function_id INTEGER NOT NULL REFERENCES functions (function_id),
    callee_file TEXT NOT NULL,
    callee_function TEXT NOT NULL,
    callee_line INTEGER NOT NULL,    -- the callee's first line
    calls BIGINT NOT NULL,
    primitive_calls BIGINT NOT NULL, -- while this edge was not already active (as cProfile counts callers)
    resumes BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,         -- self time of the callee when called so
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,   -- while this edge was not already active
    cumulative_cpu_ns BIGINT NOT NULL,
    outer_cumulative_ns BIGINT NOT NULL, -- 0 for calls whose callee was already on the stack (as callgrind needs it)
    outer_cumulative_cpu_ns BIGINT NOT NULL,
    cumulative_hits BIGINT NOT NULL, -- line hits below, by the rule of cumulative_ns
    outer_cumulative_hits BIGINT NOT NULL, -- line hits below, by the rule of outer_cumulative_ns
    samples BIGINT NOT NULL DEFAULT 0, -- of a sampled run; these six are 0 in an exact one
    cumulative_samples BIGINT NOT NULL DEFAULT 0,
    running_ns BIGINT NOT NULL DEFAULT 0, -- parts of self_ns: on a processor, or ready for one
    gil_wait_ns BIGINT NOT NULL DEFAULT 0, -- waiting for the interpreter's lock
    blocked_ns BIGINT NOT NULL DEFAULT 0, -- waiting for something else
    error_ns BIGINT NOT NULL DEFAULT 0 -- the standard error of self_ns
);

-- The grain below `edges`.
CREATE TABLE edge_stats (
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    caller_function_id INTEGER REFERENCES functions (function_id),
    caller_line INTEGER,
    callee_function_id INTEGER NOT NULL REFERENCES functions (function_id),
    calls BIGINT NOT NULL,
    primitive_calls BIGINT NOT NULL,
    resumes BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,
    cumulative_cpu_ns BIGINT NOT NULL,
    outer_cumulative_ns BIGINT NOT NULL,
    outer_cumulative_cpu_ns BIGINT NOT NULL,
    cumulative_hits BIGINT NOT NULL,
    outer_cumulative_hits BIGINT NOT NULL
);

-- Functions thread by thread: the grain below `functions`.
CREATE TABLE function_stats (
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    function_id INTEGER NOT NULL REFERENCES functions (function_id),
    calls BIGINT NOT NULL,
    primitive_calls BIGINT NOT NULL,
    resumes BIGINT NOT NULL,
    primitive_resumes BIGINT NOT NULL, -- of these resumes, those that found it not on the thread's stack
    hits BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,
    cumulative_cpu_ns BIGINT NOT NULL
);

-- Who called whom, thread by thread, from whatever line: cProfile's callers. Its ncalls are calls + resumes, its
-- primitive calls primitive_calls + primitive_resumes. Roots have caller_function_id NULL.
CREATE TABLE function_edges (
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    caller_function_id INTEGER REFERENCES functions (function_id),
    callee_function_id INTEGER NOT NULL REFERENCES functions (function_id),
    calls BIGINT NOT NULL,
    primitive_calls BIGINT NOT NULL, -- while no call of the callee by the caller was active
    resumes BIGINT NOT NULL,
    primitive_resumes BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,         -- self time of the callee when called so
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,   -- while no call of the callee by the caller was active
    cumulative_cpu_ns BIGINT NOT NULL,
    samples BIGINT NOT NULL DEFAULT 0 -- of a sampled run: those in the callee itself, when called so
);

-- Statements of several lines; only with pyanalyze --statements, else both tables are empty. A statement is a logical
-- line: what Python's tokenizer ends with NEWLINE. Of a compound statement it is the header, a decorator is one of its
-- own, what semicolons join is one. A line that is not here is a statement alone.
CREATE TABLE statement_lines (
    file_id INTEGER NOT NULL REFERENCES files (file_id),
    line INTEGER NOT NULL,
    statement_line INTEGER NOT NULL  -- the line with which its statement begins
);

-- How often execution came to a line from another line of the same statement, in the same activation. The hits of a
-- statement are the hits of its lines without these: how often it was come to from elsewhere, or begun again.
CREATE TABLE statement_stats (
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    function_id INTEGER NOT NULL REFERENCES functions (function_id),
    line INTEGER NOT NULL,
    inner_hits BIGINT NOT NULL
);

-- The calling-context tree of each thread. A function already on the path returns to its ancestor's node, so
-- recursion does not grow it. Parents have smaller ids than their children. The root of a thread has parent_id and
-- function_id NULL; its self time is the thread's <outside> time.
CREATE TABLE contexts (
    context_id INTEGER PRIMARY KEY,
    parent_id INTEGER REFERENCES contexts (context_id),
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    function_id INTEGER REFERENCES functions (function_id),
    calls BIGINT NOT NULL,
    recursive_calls BIGINT NOT NULL, -- of these calls, those that came back to the node by recursion
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,   -- time during which an activation of this node was on the stack
    cumulative_cpu_ns BIGINT NOT NULL
);

CREATE TABLE context_lines (
    context_id INTEGER NOT NULL REFERENCES contexts (context_id),
    line INTEGER NOT NULL,
    hits BIGINT NOT NULL,
    self_ns BIGINT NOT NULL,
    self_cpu_ns BIGINT NOT NULL
);

-- From which line of which context a context was entered (fresh calls and resumes).
CREATE TABLE context_edges (
    context_id INTEGER NOT NULL REFERENCES contexts (context_id),
    caller_context_id INTEGER NOT NULL REFERENCES contexts (context_id), -- the parent, except for recursion
    caller_line INTEGER,             -- NULL from a thread's root
    calls BIGINT NOT NULL,
    cumulative_ns BIGINT NOT NULL,   -- while this edge was not already active
    cumulative_cpu_ns BIGINT NOT NULL
);

-- The closed books: difference_ns = wall_ns - self_ns - gap_ns = 0, always.
CREATE TABLE accounts (
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    wall_ns BIGINT NOT NULL,         -- last minus first stamp
    self_ns BIGINT NOT NULL,         -- sum of all self times, <outside> included
    self_cpu_ns BIGINT NOT NULL,
    gap_ns BIGINT NOT NULL,
    difference_ns BIGINT NOT NULL
);

-- How sampling went, one row a process that was sampled. `late` rounds came more than a period late, or not at all;
-- `missed` samples were dropped, because the copy of the thread's frames was in doubt.
CREATE TABLE samplers (
    process_id INTEGER NOT NULL REFERENCES processes (process_id),
    period_ns BIGINT NOT NULL,
    rounds BIGINT NOT NULL,
    late BIGINT NOT NULL,
    samples BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    cpu_ns BIGINT NOT NULL           -- used for it, in threads of pyrec's own
);

-- Time in which nothing was recorded; in nobody's sums. thread_id NULL: all threads of the process.
-- Only `unseen` is less: what we know of was recorded, but there was code in subinterpreters or in threads of C code, too.
CREATE TABLE gaps (
    process_id INTEGER NOT NULL REFERENCES processes (process_id),
    thread_id INTEGER REFERENCES threads (thread_id),
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    reason TEXT NOT NULL             -- paused, replaced, full, lost, failed, unseen
);

-- Parts of the recording that somebody asked for, by owner: pyrec.compat's profilers have one each time they are
-- enabled. --window OWNER selects what happened in them.
CREATE TABLE windows (
    process_id INTEGER NOT NULL REFERENCES processes (process_id),
    number INTEGER NOT NULL,         -- unique in its process
    owner TEXT NOT NULL,
    thread_id INTEGER REFERENCES threads (thread_id), -- NULL: all threads of the process
    start_ns BIGINT NOT NULL,
    end_ns BIGINT                    -- NULL: still open at the end
);

-- Where each thread was when its recording ended, or its last window if windows are selected. depth 0 is the outermost frame.
CREATE TABLE open_frames (
    process_id INTEGER NOT NULL REFERENCES processes (process_id),
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    depth INTEGER NOT NULL,
    function_id INTEGER NOT NULL REFERENCES functions (function_id),
    line INTEGER NOT NULL,
    since_ns BIGINT NOT NULL         -- when the activation was entered or last resumed
);

CREATE TABLE marks (
    time_ns BIGINT NOT NULL,
    process_id INTEGER NOT NULL REFERENCES processes (process_id),
    thread_id INTEGER NOT NULL REFERENCES threads (thread_id),
    text TEXT NOT NULL,
    file TEXT,
    line INTEGER
);

-- `events` is not stored. pyanalyze, and its loadable extension, make it as a temporary virtual table that reads the
-- trace itself (see pyanalyze(1)); its ids are those of the tables above:
--   events(run_id, seq, time_ns, self_ns, process_id, thread_id, event, file_id, function_id, line, depth, activation,
--          file, function, detail)
--   seq: number in its thread, from 1; self_ns: until that thread's next event; event: line, call, return, yield,
--   resume, unwind, raise, c_call, c_return, switch, mark, gap; depth: open frames, its own included
--   Of a sampled run the events are sample and gap: a row of sample is about the innermost frame, and detail tells its
--   state (running, gil, blocked); seq is the number of samples so far, also where a row stands for several that were
--   the same, and a gap has that of the sample before it. self_ns is the time before it that a sample stands for, and
--   how long a gap is.
--   Three more columns are not in SELECT *: samples, self_cpu_ns (of a sample: for how many the row stands, their time
--   on a processor) and stack (of a sample, and in exact runs where the rows before do not tell it: a thread's first
--   row, one behind a gap or missing rows, a switch): the open frames, outermost first, as JSON:
--   [[function_id, line, activation], ...], of samples without activation; function_id is 0 for what is not selected,
--   null for what is not known.
