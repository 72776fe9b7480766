"""What others need for the work that `goals.rs` measures; called by it with a JSON file.

Prints a JSON list of [goal, peer, figure]. A peer that is not installed says so.
"""

import importlib.util
import json
import math
import multiprocessing
import sys
import time

CASES = json.load(open(sys.argv[1]))
LAW, SERVER = CASES["law"], CASES["server"]
rows = []


def best(run, seconds=0.4):
    """Shortest of many rounds, in seconds per call."""
    calls, shortest, end = 1, math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        took = time.perf_counter() - start
        shortest = min(shortest, took / calls)
        if took < 1e-3:
            calls *= 2
    return shortest


def text(seconds):
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def load(source):
    module = {}
    exec(compile(source, "module", "exec"), module)
    return module


def peer(goal, name, *needs):
    def measure(work):
        missing = [need for need in needs if importlib.util.find_spec(need) is None]
        if missing:
            rows.append([goal, name, "not installed: " + ", ".join(missing)])
            return
        try:
            rows.append([goal, name, work()])
        except Exception as problem:
            rows.append([goal, name, f"failed: {type(problem).__name__}: {problem}"[:100]])

    return measure


def per(seconds, points=1):
    """Per evaluation, and per instruction of our tape."""
    one = seconds / points
    return f"{text(one)}, {one * 1e9 / LAW['instructions']:.3g} ns/instr"


@peer("import", "SymPy, the module of to_sympy()", "sympy")
def _():
    import sympy  # not counted

    start = time.process_time()
    load(SERVER["sympy"])
    return text(time.process_time() - start)


@peer("lambdified", "SymPy, largest relative difference", "sympy")
def _():
    run = load(SERVER["sympy"])["evaluate"]
    worst = 0.0
    for point, value in zip(SERVER["points"], SERVER["values"]):
        point = {k: int(v) if float(v).is_integer() else v for k, v in point.items()}
        worst = max(worst, abs(run(point) - value) / abs(value))
    return f"{worst:.1e} at {len(SERVER['points'])} points"


@peer("throughput", "plain Python loops")
def _():
    sys.path.insert(0, CASES["folder"])
    from server import throughput

    point, want = SERVER["points"][0], SERVER["values"][0]
    got = throughput(point)
    assert abs(got - want) <= 1e-12 * want, (got, want)
    return text(best(lambda: throughput(point)))


@peer("throughput", "SymPy lambdify, math", "sympy")
def _():
    module = load(SERVER["sympy"])
    inputs = module["bound"]({k: int(v) if float(v).is_integer() else v for k, v in SERVER["points"][0].items()})
    run = module["compiled"]()
    return text(best(lambda: run(*inputs)))


@peer("scalar", "SymPy lambdify, math", "sympy")
def _():
    run = load(LAW["sympy"])["compiled"]()
    return per(best(lambda: run(*LAW["point"])))


def jitted():
    import numba

    run = load(LAW["sympy"])["compiled"]()
    compiled = numba.njit(run)
    start = time.perf_counter()
    want = run(*LAW["point"])[0]
    got = compiled(*map(float, LAW["point"]))[0]
    took = time.perf_counter() - start
    assert abs(got - want) <= 1e-9 * abs(want), (got, want)
    return numba, compiled, took


@peer("scalar", "numba", "sympy", "numba")
def _():
    numba, compiled, took = jitted()
    columns = [column[:4096] for column in LAW["columns"]]

    import numpy

    @numba.njit
    def all_points(a, b, c, d):
        total = 0.0
        for i in range(a.size):
            total += compiled(a[i], b[i], c[i], d[i])[0]
        return total

    columns = [numpy.array(column) for column in columns]
    all_points(*columns)
    return per(best(lambda: all_points(*columns)), columns[0].size) + f", compiled in {took:.1f} s"


class CasADi:
    """The functions of the NumPy module, for CasADi's symbols."""

    def __init__(self):
        import casadi

        self.sqrt, self.exp, self.log = casadi.sqrt, casadi.exp, casadi.log
        self.ceil, self.floor, self.power = casadi.ceil, casadi.floor, lambda a, b: a**b
        self.maximum, self.minimum, self.where = casadi.fmax, casadi.fmin, casadi.if_else
        self.logical_and, self.logical_or = casadi.logic_and, casadi.logic_or
        self.logical_not = casadi.logic_not


def casadi_functions():
    import casadi

    symbols = [casadi.SX.sym(name) for name in LAW["inputs"]]
    value = load(LAW["numpy"])["model"](*symbols, xp=CasADi())[0]
    gradient = casadi.gradient(value, casadi.vertcat(*symbols))
    point = ", ".join(map(str, LAW["point"]))

    def measure(outputs):
        function = casadi.Function("f", symbols, outputs)
        # Many points in one call, so that the call itself is not what is measured.
        many = function.map(4096)
        columns = [casadi.DM(column[:4096]).T for column in LAW["columns"]]
        return best(lambda: many(*columns)) / 4096

    return measure([value]), measure([value, gradient])


@peer("scalar", "CasADi SX", "casadi")
def _():
    return per(casadi_functions()[0])


@peer("gradient", "CasADi SX", "casadi")
def _():
    value, both = casadi_functions()
    return f"{both / value:.2f} × value, {text(both)}"


@peer("batch", "NumPy, 4096 points", "numpy")
def _():
    import numpy

    model = load(LAW["numpy"])["model"]
    columns = [numpy.array(column) for column in LAW["columns"]]
    with numpy.errstate(all="ignore"):
        return per(best(lambda: model(*columns)), columns[0].size)


def simplify(source, queue):
    module = load(source)
    expression = module["objective"]
    for symbol, value in reversed(module["defs"]):
        expression = expression.xreplace({symbol: value})
    module["sympy"].simplify(expression)
    queue.put(True)


@peer("e-graph", "SymPy simplify of one operator", "sympy")
def _():
    limit = 20
    queue = multiprocessing.Queue()
    start = time.perf_counter()
    worker = multiprocessing.Process(target=simplify, args=(CASES["operator"], queue))
    worker.start()
    worker.join(limit)
    if worker.is_alive():
        worker.terminate()
        return f"no result in {limit} s"
    if worker.exitcode:
        return f"failed after {text(time.perf_counter() - start)}"
    return text(time.perf_counter() - start)


print(json.dumps(rows))
