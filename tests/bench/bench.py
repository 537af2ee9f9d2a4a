"""How much slower do programs run while they are recorded, and how fast is the analysis? One table.

    python3 tests/bench/bench.py [--build DIR] [--pythons "PATH..."] [--rounds N] [--scale X] [--parts a,b]
                                 [--tools a,b] [--workloads a,b] [--long] [--quick] [--readme]

The analyzer, the same for all, works on the traces of the last interpreter. Everything is measured side by side: each round runs every workload under every tool once. `floor` is a hook that does
nothing at all, built here for each interpreter. What is counted is CPU time of the whole process, so other load on
the machine matters little; the minimum of the rounds is shown, the median in brackets. The table goes to standard
output and to BUILD/bench/table.md, the README's tables to BUILD/bench/readme.md, all figures to BUILD/bench/bench.json.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

import analysis
import recording
import run
import table
import tools as tool_table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = ("floor", "pyrec", "memory", "filtered") + tool_table.PEERS


def arguments():
    parser = argparse.ArgumentParser(description="Measure what recording and analyzing cost.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--pythons", default=sys.executable)
    parser.add_argument("--rounds", type=int, help="7; with --quick 3")
    parser.add_argument("--scale", type=float, help="1: about 0.15 s untraced; 2, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="some minutes: shorter runs, fewer rounds")
    parser.add_argument("--readme", action="store_true", help="print the README's tables")
    parser.add_argument("--parts", default="recording,analysis")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--workloads", default=",".join(recording.workload_names()))
    parser.add_argument("--long", action="store_true", help="analyze 1 G events, too (2 GB of disk, some minutes)")
    parser.add_argument("--folder", help="where traces go meanwhile (default: a new one in the build folder)")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.scale = options.scale or (1.0 if options.quick else 2.0)
    return options


def machine():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    compiler = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()[0]
    return {"processor": "%s, %d cores" % (names[0] if names else platform.machine(), os.cpu_count()),
            "system": "%s %s, %s" % (platform.system(), platform.release(), compiler),
            "load": os.getloadavg(), "date": datetime.datetime.now().isoformat(timespec="seconds")}


def sizes(options):
    return [10 ** 7, 10 ** 8] + ([10 ** 9] if options.long else [])


def measure_version(options, python, folder, memory):
    tools = tool_table.Tools(os.path.abspath(options.build), python, folder, memory)
    names = ["plain"] + [name for name in options.tools.split(",") if name]
    result = {"python": python, "peers": tools.peer_versions()}
    result["start"] = recording.start_up(tools)
    result["workloads"] = recording.measure(tools, options.workloads.split(","), names, options.scale, options.rounds)
    result["summary"] = recording.summary(result["workloads"], result["start"])
    if "recording" in options.parts:
        result["memory"] = recording.memory(tools)
    if "analysis" in options.parts and python == options.pythons.split()[-1]:
        result["analysis"] = analysis.measure(tools, result["workloads"], sizes(options))
    return tools.version, result


def save(options, report):
    folder = os.path.join(options.build, "bench")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "bench.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    text = table.markdown(report)
    with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as file:
        file.write(text)
    with open(os.path.join(folder, "readme.md"), "w", encoding="utf-8") as file:
        file.write(table.readme(report))
    return table.readme(report) if options.readme else text


def main():
    options = arguments()
    os.makedirs(os.path.join(options.build, "bench"), exist_ok=True)
    folder = tempfile.mkdtemp(prefix="run-", dir=options.folder or os.path.join(options.build, "bench"))
    memory = tempfile.mkdtemp(prefix="pyrec-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    report = {"machine": machine(), "rounds": options.rounds, "scale": options.scale, "versions": {}}
    text = ""
    try:
        for python in options.pythons.split():
            version, result = measure_version(options, python, folder, memory)
            report["versions"][version] = result
            text = save(options, report)
    except run.Failed as failure:
        sys.exit(str(failure))
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(memory)
    print(text)


if __name__ == "__main__":
    main()
