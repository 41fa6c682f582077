"""Which number below a limit takes the most Collatz steps to reach 1?

    peerd run examples/collatz.py 10000
"""
import sys

limit = 3000
if len(sys.argv) > 1:
    limit = int(sys.argv[1])


def steps_from(n):
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps = steps + 1
    return steps


best = 1
most = 0
for start in range(1, limit):
    steps = steps_from(start)
    if steps > most:
        best = start
        most = steps
        print("start", start, "takes", steps, "steps")
print("the longest below", limit, "is", best, "with", most, "steps")
