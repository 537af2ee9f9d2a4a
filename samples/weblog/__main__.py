"""Reads a web server's log and reports who visited what, how slowly, and which addresses look mistyped.

    python3 samples/weblog [--lines N] [--threads N] [LOG]

Without LOG it makes one up, always the same.
"""
import argparse
import sys

import generate
import parse
import report
import sessions
import similar
import statistics_by


def arguments():
    parser = argparse.ArgumentParser(prog="weblog", description="Report on a web server's log.")
    parser.add_argument("log", nargs="?", help="log in the combined format (default: made up)")
    parser.add_argument("--lines", type=int, default=24000, help="lines to make up")
    parser.add_argument("--threads", type=int, default=2, help="threads that parse")
    parser.add_argument("--top", type=int, default=5, help="rows a table")
    return parser.parse_args()


def read_lines(options):
    if options.log is None:
        return list(generate.lines(options.lines))
    with open(options.log, encoding="utf-8", errors="replace") as file:
        return file.read().split("\n")


def main():
    options = arguments()
    requests, rejected = parse.parse_parallel(read_lines(options), options.threads)
    visits = sessions.group(requests)
    good = {request.path for request in requests if request.status == 200}
    missing = {request.path for request in requests if request.status == 404} - good

    out = report.Report(sys.stdout, options.top)
    out.title("Log of %d requests (%d lines rejected)" % (len(requests), rejected))
    out.table("Slowest pages", ("page", "count", "median", "p95"), statistics_by.page_times(requests))
    out.table("Visits", ("visitor", "pages", "minutes"), sessions.longest(visits))
    out.table("Mistyped?", ("asked for", "probably", "distance"), similar.suggest(missing, good))
    out.bars("Requests by time of day", statistics_by.by_time_of_day(requests))


if __name__ == "__main__":
    main()
