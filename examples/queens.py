"""Places eight queens so that none attacks another, and counts the ways.

    peerd run examples/queens.py
    peerd run examples/queens.py 6
"""
import sys

size = 8
if len(sys.argv) > 1:
    size = int(sys.argv[1])

placed = []
solutions = 0


def is_safe(column):
    row = len(placed)
    for r in range(row):
        c = placed[r]
        if c == column or row - r == abs(column - c):
            return False
    return True


def show():
    for queen in placed:
        print(" ." * queen + " Q" + " ." * (size - 1 - queen))


def search():
    global placed, solutions
    if len(placed) == size:
        solutions = solutions + 1
        if solutions == 1:
            show()
        return
    for column in range(size):
        if is_safe(column):
            placed = placed + [column]
            search()
            placed = placed[:-1]


search()
print(solutions, "ways to place", size, "queens")
