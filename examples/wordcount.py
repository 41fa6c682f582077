"""Counts lines, words and letters of its standard input.

    peerd run --stdin README.md examples/wordcount.py

Without any input it counts a little poem of its own.
"""
import sys

POEM = """the mole digs deep the mole digs wide
the mole has room for all inside
come in come in the burrow said
there is a job in every bed"""


def read_lines():
    lines = []
    while True:
        try:
            lines.append(input())
        except EOFError:
            return lines


lines = read_lines()
if not lines:
    lines = POEM.split("\n")

seen = []
counts = {}
total = 0
letters = 0
for line in lines:
    letters = letters + len(line)
    for word in line.split():
        total = total + 1
        if word in counts:
            counts[word] = counts[word] + 1
        else:
            counts[word] = 1
            seen.append(word)

print(len(lines), "lines,", total, "words,", letters, "characters")

# The commonest words; equal counts in order of appearance.
shown = 0
wanted = 0
for word in seen:
    wanted = max(wanted, counts[word])
while wanted > 0 and shown < 5:
    for word in seen:
        if counts[word] == wanted and shown < 5:
            print("  ", "#" * min(counts[word], 50), word)
            shown = shown + 1
    wanted = wanted - 1
