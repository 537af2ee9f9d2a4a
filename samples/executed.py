"""Code without a file: lambdas, exec, eval, compile under a made-up name, two texts under one name."""


def make_adders(count):
    return [lambda n, step=step: n + step for step in range(count)]


TEMPLATE = """
def generated(n):
    total = 0
    for i in range(n):
        total += i * {factor}
    return total
"""


def build(factor):
    namespace = {}
    exec(compile(TEMPLATE.format(factor=factor), "<template %d>" % factor, "exec"), namespace)
    return namespace["generated"]


def main():
    print([add(10) for add in make_adders(5)])
    print(eval("sum(i for i in range(10))"))
    exec("for i in range(3):\n    total = i\nprint('executed', total)")
    print([build(factor)(10) for factor in (1, 2, 3)])
    for text in ("def twin():\n    return 1\n", "def twin():\n    x = 2\n    return x\n"):
        namespace = {}
        exec(compile(text, "<twins>", "exec"), namespace)
        print(namespace["twin"]())
    for i in range(200):
        code = compile("value = %d\nvalue += 1\n" % i, "<many>", "exec")
        exec(code, {})


main()
