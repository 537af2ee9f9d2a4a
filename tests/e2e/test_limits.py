"""Out of space, at a limit: recording stops, the program goes on, the trace is readable and says so."""
import os
import subprocess
import tempfile
import unittest

import support

PROGRAM = '''
import threading
def step(n):
    for i in range(n):
        pass
threads = [threading.Thread(target=step, args=(60000,)) for _ in range(2)]
for thread in threads:
    thread.start()
step(60000)
for thread in threads:
    thread.join()
print("done")
'''


class Limits(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-limits-")
        self.program = os.path.join(self.folder.name, "steps.py")
        self.trace = os.path.join(self.folder.name, "trace.bin")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)

    def tearDown(self):
        self.folder.cleanup()

    def record(self, python, options=(), limit=None):
        command = [support.PYREC, "run", "--force", "-o", self.trace, "--python", python, *options, self.program]
        if limit is not None:
            command = ["sh", "-c", 'ulimit -f %d; exec "$0" "$@"' % limit] + command
        result = support.run(command)
        self.assertEqual((result.status, result.out, result.err), (0, b"done\n", b""), result)

    def check(self):
        """Events that were kept."""
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql",
                              "SELECT complete, events, (SELECT max(abs(difference_ns)) FROM accounts) books, "
                              "(SELECT group_concat(DISTINCT reason) FROM gaps) reasons FROM runs"])
        self.assertEqual(result.status, 0, result)
        row = support.json.loads(result.out)[0]
        self.assertEqual(row["complete"], 0)
        self.assertIn(row["books"], (0, None))
        self.assertIn(b"recording stopped", result.err)
        if row["events"]:
            self.assertEqual(row["reasons"], "full")
        return row["events"]

    def test_max_size(self):
        for python in support.PYTHONS:
            kept = []
            for size in ("1K", "16K", "40K", "100K"):
                with self.subTest(python=python, size=size):
                    self.record(python, ["--max-size", size])
                    self.assertLessEqual(os.path.getsize(self.trace), max(8192, int(size[:-1]) * 1024))
                    kept.append(self.check())
            self.assertEqual(kept[0], 0)
            self.assertGreater(kept[-1], 1000)

    def test_file_size_limit(self):
        for python in support.PYTHONS:
            for limit in (17, 64, 150):
                with self.subTest(python=python, limit=limit):
                    self.record(python, limit=limit)
                    self.check()

    def test_disk_full(self):
        mounted = os.path.join(self.folder.name, "small")
        os.mkdir(mounted)
        for kib in (16, 28, 64, 200):
            mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk" % kib, "tmpfs", mounted],
                                   stderr=subprocess.DEVNULL, check=False)
            if mount.returncode != 0:
                self.skipTest("no right to mount")
            try:
                self.trace = os.path.join(mounted, "trace.bin")
                for python in support.PYTHONS:
                    with self.subTest(python=python, kib=kib):
                        self.record(python, ["--min-free", "0"])
                        self.check()
                    os.remove(self.trace)  # else it is kept beside the next one
            finally:
                subprocess.run(["umount", mounted], check=True)


if __name__ == "__main__":
    unittest.main()
