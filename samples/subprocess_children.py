"""Python children started in every way: plainly, isolated, with an empty environment, through a shell, by exec."""
import os
import subprocess
import sys

CODE = "def f(n):\n    return n + 1\nprint(f(%d))"


def run(command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, **options)
    print(result.stdout.decode().strip(), "status", result.returncode)


def main():
    python = sys.executable
    run([python, "-c", CODE % 1])
    run([python, "-I", "-S", "-c", CODE % 2])
    run([python, "-c", CODE % 3], env={})
    run(["/bin/sh", "-c", "exec '%s' -c '%s'" % (python, CODE % 4)])
    run("'%s' -c '%s' | cat" % (python, CODE % 5), shell=True)
    run([python, "-"], input=(CODE % 6).encode())
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.execv(python, [python, "-c", CODE % 7 + "\nraise SystemExit(9)"])
    print("status", os.waitpid(pid, 0)[1] >> 8)
    pid = os.posix_spawn(python, [python, "-c", "import os; os._exit(11)"], {})
    print("status", os.waitpid(pid, 0)[1] >> 8)


main()
