"""From lines to requests, in several threads."""
import re
import threading
from collections import namedtuple

Request = namedtuple("Request", "visitor second method path status size agent milliseconds")

PATTERN = re.compile(
    r'(?P<visitor>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" '
    r'(?P<status>\d{3}) (?P<size>\d+) "[^"]*" "(?P<agent>[^"]*)" (?P<milliseconds>\d+)$')


class ParseError(ValueError):
    pass


def parse_time(text):
    """Seconds since midnight of `03/Mar/2024:12:34:56 +0000`."""
    try:
        _, hours, minutes, seconds = text.split(" ")[0].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    except ValueError:
        raise ParseError("no time: %r" % text) from None


def parse_line(line):
    match = PATTERN.match(line)
    if match is None:
        raise ParseError("not a log line: %r" % line)
    fields = match.groupdict()
    return Request(
        fields["visitor"],
        parse_time(fields["time"]),
        fields["method"],
        fields["path"],
        int(fields["status"]),
        int(fields["size"]),
        fields["agent"],
        int(fields["milliseconds"]),
    )


def parse_slice(lines, requests):
    """Appends each request to `requests`, and returns how many lines were none."""
    rejected = 0
    for line in lines:
        if not line:
            continue
        try:
            requests.append(parse_line(line))
        except ParseError:
            rejected += 1
    return rejected


def parse_parallel(lines, threads):
    """All requests, in the order of the lines, and the number of lines rejected."""
    size = -(-len(lines) // threads)
    parts = [[] for _ in range(threads)]
    rejected = [0] * threads

    def work(i):
        rejected[i] = parse_slice(lines[i * size:(i + 1) * size], parts[i])

    workers = [threading.Thread(target=work, args=(i,), name="parser-%d" % i) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [request for part in parts for request in part], sum(rejected)
