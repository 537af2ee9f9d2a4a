"""Coroutines, tasks, async generators and context managers on one event loop."""
import asyncio


async def produce(queue, name, count):
    for i in range(count):
        await asyncio.sleep(0)
        await queue.put("%s%d" % (name, i))
    await queue.put(None)


async def consume(queue, producers):
    seen = []
    while producers:
        item = await queue.get()
        if item is None:
            producers -= 1
        else:
            seen.append(item)
    return seen


async def numbers(limit):
    for i in range(limit):
        await asyncio.sleep(0)
        yield i


class Connection:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *details):
        await asyncio.sleep(0)

    async def ask(self, number):
        return number * 2


async def cancelled():
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        return "cancelled"


async def main():
    queue = asyncio.Queue(maxsize=2)
    consumer = asyncio.ensure_future(consume(queue, 2))
    await asyncio.gather(produce(queue, "a", 5), produce(queue, "b", 5))
    print(sorted(await consumer))

    print([number async for number in numbers(5)])
    async with Connection() as connection:
        print(await asyncio.gather(*(connection.ask(n) for n in range(4))))

    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0)
    task.cancel()
    print(await task)

    left_early = numbers(10)
    async for number in left_early:
        if number == 3:
            break
    await left_early.aclose()
    print("left at", number)


asyncio.run(main())
