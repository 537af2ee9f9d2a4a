"""Exceptions: through many frames, past finally, re-raised, chained, handled where they arise."""


class Trouble(Exception):
    pass


def dive(depth):
    if depth == 0:
        raise Trouble("at the bottom")
    dive(depth - 1)


def with_finally(log):
    try:
        dive(3)
    finally:
        log.append("finally")


def reraise(log):
    try:
        with_finally(log)
    except Trouble:
        log.append("seen")
        raise


def translate():
    try:
        {}["missing"]
    except KeyError as error:
        raise Trouble("translated") from error


def handled_here(numbers):
    bad = 0
    for number in numbers:
        try:
            10 // number
        except ZeroDivisionError:
            bad += 1
        else:
            bad += 0
        finally:
            bad += 0
    return bad


class Guard:
    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        return kind is Trouble


def guarded():
    with Guard():
        dive(20)
    return "guarded"


def early(flag):
    try:
        if flag:
            return "early"
    finally:
        flag = None
    return "late"


def main():
    log = []
    try:
        reraise(log)
    except Trouble as error:
        log.append(str(error))
    print(log)
    try:
        translate()
    except Trouble as error:
        print(error, repr(error.__cause__))
    print(handled_here([1, 0, 2, 0, 0]))
    print(guarded(), early(True), early(False))
    for attempt in range(3):
        try:
            dive(attempt)
        except Trouble:
            continue
    raise SystemExit(3)


main()
