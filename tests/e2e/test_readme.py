"""What README.md shows works: its queries find rows, its links lead somewhere, its --help is the real one."""
import os
import re
import unittest

import support


def readme():
    with open(os.path.join(support.ROOT, "README.md"), encoding="utf-8") as file:
        return file.read()


# Its queries name functions as versions with qualified names do.
PYTHON = next((python for python in support.PYTHONS if support.version(python) >= (3, 11)), support.PYTHONS[0])


class Readme(unittest.TestCase):
    def record(self, name, *arguments, **options):
        recording = support.Recording(
            PYTHON, [os.path.join(support.SAMPLES, name), *arguments], **options)
        self.addCleanup(recording.close)
        return recording

    def test_queries(self):
        weblog = self.record("weblog", "--lines", "1000")
        killed = self.record("killed.py", warnings=b"did not end in order")
        queries = re.findall(r"^```sql\n(.*?)^```", readme(), flags=re.M | re.S)
        self.assertGreater(len(queries), 9)
        for query in queries:
            rows = (killed if "open_frames" in query else weblog).sql(query)
            self.assertTrue(rows, query)

    def test_links(self):
        for link in re.findall(r"\]\(([^)]+)\)", readme()):
            if "://" not in link:
                self.assertTrue(os.path.exists(os.path.join(support.ROOT, link)), link)

    def test_help(self):
        text = readme()
        for program in (support.PYREC, support.PYANALYZE):
            for line in support.run([program, "--help"]).out.decode().splitlines():
                self.assertIn("    " + line if line else "", text)
