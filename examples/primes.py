"""All primes below a limit, by the sieve of Eratosthenes.

    peerd run examples/primes.py
    peerd run examples/primes.py 1000
"""
import sys

limit = 200
if len(sys.argv) > 1:
    limit = int(sys.argv[1])

is_prime = [True] * limit
found = []
for n in range(2, limit):
    if is_prime[n]:
        found.append(n)
        for multiple in range(n * n, limit, n):
            is_prime[multiple] = False

line = ""
for p in found:
    text = str(p)
    line = line + " " * (5 - len(text)) + text
    if len(line) >= 60:
        print(line)
        line = ""
if line:
    print(line)
print(len(found), "primes below", limit)
