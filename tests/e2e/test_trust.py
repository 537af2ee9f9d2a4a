"""What is not believed: file names that code objects bear, and what a database brings with it beside its rows."""
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

import support

SECRET = "the secret text 8f2c1"


class Sources(unittest.TestCase):
    """Only what CPython itself would have read as source goes into a trace."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-trust-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.trace = os.path.join(self.folder, "trace.bin")

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def record(self, python, *words):
        result = support.run([support.PYREC, "run", "--python", python, "--force", "-o", self.trace, *words])
        self.assertEqual(result.status, 0, result)
        with open(self.trace, "rb") as file:
            return file.read()

    def test_code_that_claims_a_file(self):
        secret = self.path("secret", SECRET)
        os.mkfifo(self.path("pipe"))
        os.mkfifo(self.path("pipe.py"))
        os.mkdir(self.path("folder.py"))
        names = [secret, self.path("pipe"), self.path("pipe.py"), self.path("folder.py"), self.path("missing.py"), "/dev/stdin",
                 "/dev/tty", "/dev/zero", "/proc/self/environ", "/proc/self/mem", "/proc/kmsg", "/", ""]
        app = self.path("app.py", "for name in %r:\n"
                        "    code = compile('def f(): pass\\nf()\\n', name, 'exec')\n"
                        "    exec(code, {'__name__': 'm'})\n"
                        "    if name.endswith('.py') or name.startswith(('/dev', '/proc')):\n"
                        "        exec(code, {'__name__': 'm', '__file__': name})\n" % names)
        for python in support.PYTHONS:
            data = self.record(python, app)
            self.assertNotIn(SECRET.encode(), data)
            self.assertNotIn(b"PATH=" + os.environ.get("PATH", "").encode(), data)
            self.assertIn(b"for name in [", data)
            rows = support.run([support.PYANALYZE, self.trace, "--sql", "SELECT sum(calls) FROM functions WHERE name = 'f'"])
            self.assertGreaterEqual(int(rows.out.split()[-1]), len(names))

    def test_no_source(self):
        app = self.path("app.py", "x = 1  # %s\n" % SECRET)
        for python in support.PYTHONS:
            self.assertIn(SECRET.encode(), self.record(python, app))
            self.assertNotIn(SECRET.encode(), self.record(python, "--no-source", app))
            result = support.run([support.PYANALYZE, self.trace, "--strict"])
            self.assertEqual((result.status, result.err), (0, b""))

    def test_mode_of_the_trace(self):
        """The user's umask, and never writable for everybody."""
        app = self.path("app.py", "pass\n")
        for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o664)):
            if os.path.exists(self.trace):
                os.remove(self.trace)
            result = support.run([support.PYREC, "run", "--python", support.PYTHONS[0], "-o", self.trace, app],
                                 preexec_fn=lambda umask=umask: os.umask(umask) and None)
            self.assertEqual(result.status, 0, result)
            self.assertEqual(os.stat(self.trace).st_mode & 0o7777, mode)

    def test_links_at_its_name(self):
        """In a folder that everybody may write to, somebody was there first."""
        app = self.path("app.py", "print('ran')\n")
        os.chmod(self.folder, 0o1777)
        victim = self.path("victim", SECRET)
        for target in (victim, self.path("nowhere"), self.folder, "/dev/stdout", "trace.bin"):
            for force in ([], ["--force"]):
                for name in ("trace.bin", "trace.bin.old"):
                    for old in ("trace.bin", "trace.bin.old"):
                        if os.path.lexists(self.path(old)):
                            os.remove(self.path(old))
                    if name == "trace.bin.old":
                        self.record(support.PYTHONS[0], app)
                    os.symlink(target, self.path(name))
                    result = support.run([support.PYREC, "run", "--python", support.PYTHONS[0], *force, "-o", self.trace, app])
                    self.assertEqual((result.status, result.out, result.err.count(b"\n")), (125, b"", 1), (target, name, result))
                    self.assertIn(b"symbolic link", result.err)
                    self.assertEqual(os.readlink(self.path(name)), target)
                    self.assertFalse(os.path.lexists(self.path("nowhere")))
        with open(victim, encoding="utf-8") as file:
            self.assertEqual(file.read(), SECRET)


class Databases(unittest.TestCase):
    """A database that came from somewhere: its rows are read, its code is not run."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="pyrec-trust-")
        cls.clean = os.path.join(cls.folder, "clean.db")
        trace = os.path.join(support.ROOT, "tests", "corpus", "1-generators-3.11.bin")
        assert support.run([support.PYANALYZE, trace, "--db", cls.clean]).status == 0

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def made_up(self, script):
        path = os.path.join(self.folder, "made-up.db")
        shutil.copy(self.clean, path)
        database = sqlite3.connect(path)
        database.executescript(script)
        database.close()
        return path

    def analyze(self, path, *options, **more):
        return support.run([support.PYANALYZE, path, *options], cwd=self.folder, **more)

    def test_what_it_brings_changes_nothing(self):
        plain = self.analyze(self.clean)
        endless = "(WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < 1000000000) SELECT count(*) FROM c)"
        for script in (
                "CREATE TRIGGER t AFTER INSERT ON functions BEGIN DELETE FROM lines; END",
                "CREATE TEMP TRIGGER t AFTER INSERT ON functions BEGIN DELETE FROM lines; END",
                "CREATE VIEW slow AS SELECT * FROM %s" % endless,
                "CREATE VIEW sums AS SELECT sum(self_ns) FROM functions; CREATE TABLE events (a)",
                "ALTER TABLE functions ADD COLUMN more AS (abs(self_ns))",
                "CREATE INDEX odd ON functions (length(name) + 1)"):
            result = self.analyze(self.made_up(script))
            self.assertEqual((result.status, result.out), (0, plain.out), (script, result))
            self.assertEqual(sorted(os.listdir(self.folder)), ["clean.db", "made-up.db"])

    def test_what_takes_a_table_s_place_is_refused(self):
        for script in (
                "ALTER TABLE functions RENAME TO f; CREATE VIEW functions AS SELECT * FROM f",
                "DROP TABLE lines; CREATE VIEW lines AS SELECT * FROM functions",
                "CREATE VIEW pragma_table_info AS SELECT 'x' name",
                "CREATE TABLE e AS SELECT * FROM edges; DROP TABLE edges",
                "DROP TABLE marks; CREATE TABLE marks (time_ns, process_id, thread_id, text, file, line AS (abs(1)))"):
            result = self.analyze(self.made_up(script))
            self.assertEqual((result.status, result.out, result.err.count(b"\n")), (1, b"", 1), (script, result))
            self.assertIn(b"made-up.db", result.err)

    def test_functions_in_its_schema(self):
        """What a view may call is what harms nobody, also when the user asks for the view."""
        path = self.made_up("CREATE VIEW v AS SELECT load_extension('./x.so'); "
                            "CREATE VIEW w AS SELECT * FROM pragma_journal_mode('wal')")
        for view in "vw":
            result = self.analyze(path, "--sql", "SELECT * FROM " + view)
            self.assertEqual((result.status, result.err.count(b"\n")), (1, 1), result)

    def test_endless_queries_can_be_interrupted(self):
        query = "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c"
        path = os.path.join(self.folder, "rows.json")
        # SIGINT as on a terminal: what runs in a shell's background ignores it.
        process = subprocess.Popen([support.PYANALYZE, self.clean, "--json", "-o", path, "--sql", query],
                                   env=support.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.addCleanup(process.kill)
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=support.HANGS)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertEqual([name for name in os.listdir(self.folder) if "rows" in name or "tmp" in name], [])

    def test_journals_of_strangers(self):
        """A journal beside a database would be played back into it."""
        path = self.made_up("CREATE TABLE x (a)")
        for suffix in ("-journal", "-wal"):
            with open(path + suffix, "wb") as file:
                file.write(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\xff" * 600)
            with open(path, "rb") as file:
                before = file.read()
            result = self.analyze(path)
            self.assertIn(result.status, (0, 1), result)
            self.assertLessEqual(result.err.count(b"\n"), 1)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), before)
            for extra in os.listdir(self.folder):
                if extra.startswith("made-up.db-"):
                    os.remove(os.path.join(self.folder, extra))
