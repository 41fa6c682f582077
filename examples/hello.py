"""The smallest job: says hello, and to whom if you give names.

    peerd run examples/hello.py
    peerd run examples/hello.py Ada Grace
"""
import sys

names = sys.argv[1:]
if not names:
    names = ["Burrow"]

for name in names:
    print("Hello from a peer,", name + "!")
