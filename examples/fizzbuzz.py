"""Counts to 30 the way children do: Fizz for 3, Buzz for 5."""


def word(n):
    text = ""
    if n % 3 == 0:
        text = text + "Fizz"
    if n % 5 == 0:
        text = text + "Buzz"
    return text or str(n)


for start in range(1, 31, 10):
    print(" ".join([word(n) for n in range(start, start + 10)]))
