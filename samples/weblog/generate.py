"""A made-up log: the same for the same number of lines, on every version of Python."""

PAGES = [
    "/", "/about", "/contact", "/products", "/products/lamps", "/products/tables", "/products/chairs",
    "/products/shelves", "/cart", "/checkout", "/search", "/login", "/account", "/account/orders",
    "/help/delivery", "/help/returns", "/blog", "/blog/oak-or-beech", "/blog/caring-for-leather",
    "/blog/how-we-choose-our-wood",
]
AGENTS = ["Mozilla/5.0", "curl/7.88", "Safari/605.1", "bot/1.0 (+http://bot.example)"]


class Dice:
    """A linear congruential generator: random enough, and never different."""

    def __init__(self, seed):
        self.state = seed

    def roll(self, sides):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        return (self.state >> 33) % sides

    def choose(self, items):
        return items[self.roll(len(items))]


def mistype(page, dice):
    """The page's address with two letters swapped, one lost or one doubled."""
    if len(page) < 4:
        return page + "x"
    at = 1 + dice.roll(len(page) - 2)
    kind = dice.roll(3)
    if kind == 0:
        return page[:at] + page[at + 1] + page[at] + page[at + 2:]
    if kind == 1:
        return page[:at] + page[at + 1:]
    return page[:at] + page[at] + page[at:]


def lines(count):
    dice = Dice(2003)
    second = 0
    for number in range(count):
        second += dice.roll(12)
        page, status = dice.choose(PAGES), 200
        if dice.roll(12) == 0:
            page, status = mistype(page, dice), 404
        if dice.roll(200) == 0:
            yield "broken line %d" % number
            continue
        yield '10.0.%d.%d - - [03/Mar/2024:%02d:%02d:%02d +0000] "GET %s HTTP/1.1" %d %d "-" "%s" %d' % (
            dice.roll(3), dice.roll(60), second // 3600 % 24, second // 60 % 60, second % 60,
            page, status, 200 + dice.roll(9000), dice.choose(AGENTS), 20 + dice.roll(len(page) * 40))
