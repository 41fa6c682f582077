"""Prints a tick a second, five times: output arrives while the job runs.

Ticks go to stdout, remarks to stderr; the two stay apart all the way.

    peerd run examples/ticker.py
    peerd run examples/ticker.py 2>/dev/null
"""
import sys
import time

for i in range(1, 6):
    print("tick", i, "of 5")
    if i == 3:
        print("half way", file=sys.stderr)
    if i < 5:
        time.sleep(1)
print("done", file=sys.stderr)
