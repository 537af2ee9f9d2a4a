"""Generators: run to the end, left early, thrown into, delegated to, sent to, never iterated, passed around."""


def countdown(n):
    while n > 0:
        yield n
        n -= 1


def average():
    total, count, result = 0, 0, None
    while True:
        number = yield result
        total += number
        count += 1
        result = total / count


def stubborn():
    try:
        yield "waiting"
    except ValueError as error:
        yield "caught %s" % error
    finally:
        print("stubborn is over")


def chain(*parts):
    for part in parts:
        yield from part
    return "chained"


def walk(tree):
    if tree is None:
        return
    left, value, right = tree
    yield from walk(left)
    yield value
    yield from walk(right)


def main():
    print(list(countdown(5)))

    left_early = countdown(10)
    print(next(left_early), next(left_early))
    left_early.close()

    mean = average()
    next(mean)
    print([mean.send(number) for number in (10, 20, 60)])

    patient = stubborn()
    print(next(patient), patient.throw(ValueError("thrown")))
    print(list(patient))

    print(list(chain(countdown(2), countdown(3))))
    print(list(walk(((None, 1, None), 2, ((None, 3, None), 4, None)))))
    countdown(3)
    print(sum(n * n for n in countdown(4)))

    pair = [countdown(3), countdown(3)]
    print([next(pair[i % 2]) for i in range(6)])


main()
