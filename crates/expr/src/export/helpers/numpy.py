
# Sums and fixed points call functions of their index. NumPy runs them in Python; under JAX they are
# scans and searches of jax.lax, which can be jitted. Those with a known most number of terms, and
# fixed points, can be differentiated in reverse too.


def _sum(lo, hi, term, most, xp):
    """Sum of term(i) over i = lo .. hi; NaN where the limits are undefined."""
    lo, hi = xp.asarray(lo, dtype=float), xp.asarray(hi, dtype=float)
    total = 0.0 * (hi - lo)

    def add(n, total):
        i = lo + n
        inside = i <= hi
        return xp.where(inside, total + term(xp.where(inside, i, lo)), total)

    if xp is numpy:
        count = numpy.max(hi - lo + 1.0, initial=0.0)
        for n in range(int(count) if count > 0 else 0):
            total = add(n, total)
        return total
    from jax import eval_shape, lax

    total = xp.broadcast_to(total, eval_shape(add, 0, total).shape)
    last = xp.max(xp.maximum(hi - lo + 1.0, 0.0)).astype(int) if most is None else most
    return lax.fori_loop(0, last, add, total)


def _fixed_point(lo, hi, body, xp):
    """Where x - body(x) rises through zero between lo and hi; NaN where it does not."""

    def gap(x):
        return x - body(x)

    def wide(state):
        a, b, step = state
        return xp.any(b - a > 1e-15 * xp.maximum(abs(a), abs(b))) & (step < 300)

    def halve(state):
        a, b, step = state
        middle = a + (b - a) / 2
        below = gap(middle) < 0
        return xp.where(below, middle, a), xp.where(below, b, middle), step + 1

    below, above = gap(lo), gap(hi)
    bracketed = (lo <= hi) & (below <= 0) & (above >= 0)
    lo, hi = xp.broadcast_arrays(xp.asarray(lo, dtype=float), xp.asarray(hi, dtype=float), below)[:2]
    # Nothing to search where it is an end already.
    start = xp.where(above == 0, hi, lo), xp.where(below == 0, lo, hi), 0

    def solve(gap, _):
        state = start
        if xp is numpy:
            while wide(state):
                state = halve(state)
        else:
            state = lax.while_loop(wide, halve, state)
        a, b, _ = state
        return xp.where(abs(gap(a)) <= abs(gap(b)), a, b)

    if xp is numpy:
        root = solve(gap, lo)
    else:
        from jax import lax

        root = lax.custom_root(gap, lo, solve, lambda slope, y: y / slope(xp.ones_like(y)))
    return xp.where(bracketed, root, xp.nan)


def _entry(table, index, xp):
    """An entry of a table, NaN outside of it."""
    table, index = xp.asarray(table), xp.asarray(index, dtype=float)
    inside = (index >= 0) & (index < len(table)) & (index == xp.floor(index))
    return xp.where(inside, table[xp.where(inside, index, 0).astype(int)], xp.nan)

