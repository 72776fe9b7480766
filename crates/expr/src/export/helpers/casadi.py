
# CasADi's expressions have no loops: a sum is written out as far as it can go, a fixed point is
# halved until nothing is left to halve and then takes one step of Newton's, which also gives it its
# derivative.


def _sum(lo, hi, term, most):
    """Sum of term(i) over i = lo .. hi."""
    if most is None:
        raise ValueError("the domains do not bound the number of terms of a sum")
    total = 0.0
    for n in range(most):
        i = lo + n
        inside = i <= hi
        total = total + casadi.if_else(inside, term(casadi.if_else(inside, i, lo)), 0.0)
    return total


def _fixed_point(lo, hi, body):
    """Where x - body(x) rises through zero between lo and hi; NaN where it does not."""
    below, above = lo - body(lo), hi - body(hi)
    bracketed = casadi.logic_and(lo <= hi, casadi.logic_and(below <= 0, above >= 0))
    a, b = casadi.if_else(above == 0, hi, lo), casadi.if_else(below == 0, lo, hi)
    for _ in range(64):
        middle = a + (b - a) / 2
        left = middle - body(middle) < 0
        a, b = casadi.if_else(left, middle, a), casadi.if_else(left, b, middle)
    u, x = casadi.SX.sym("u"), a + (b - a) / 2
    gap = u - body(u)
    step = casadi.substitute(gap / casadi.gradient(gap, u), u, casadi.SX(x))
    # Not where the body jumps.
    near = casadi.fabs(step) <= 1e-6 * (1 + casadi.fabs(x))
    return casadi.if_else(bracketed, casadi.if_else(near, x - step, x), math.nan)


def _entry(table, index):
    """An entry of a table, NaN outside of it."""
    value = math.nan
    for at, entry in enumerate(table):
        value = casadi.if_else(index == at, entry, value)
    return value

