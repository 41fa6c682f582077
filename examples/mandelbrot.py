"""The Mandelbrot set in 72 by 24 characters."""

WIDTH = 72
HEIGHT = 24
ROUNDS = 60
SHADES = " .:-=+*#%"


def rounds_to_escape(cr, ci):
    zr = 0.0
    zi = 0.0
    for n in range(ROUNDS):
        zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
        if zr * zr + zi * zi > 4.0:
            return n
    return ROUNDS


for row in range(HEIGHT):
    ci = 1.2 - 2.4 * row / (HEIGHT - 1)
    line = ""
    for column in range(WIDTH):
        cr = 3.2 * column / (WIDTH - 1) - 2.3
        n = rounds_to_escape(cr, ci)
        if n == ROUNDS:
            line = line + "@"
        else:
            line = line + SHADES[min(n // 2, len(SHADES) - 1)]
    print(line)
