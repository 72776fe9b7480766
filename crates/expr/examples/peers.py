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


def server(p):
    """The throughput of `tests/it/server.rs`, as one writes it down without a library."""
    layers, prompt, output, dense, expert, kv = 60.0, 3000, 700, 8e7, 4e7, 1152.0
    chunk, tp, dp, ep = p["chunk"], p["tp"], p["dp"], p["ep"]
    peak, hbm = p["peak"], p["hbm"]
    flop = 2.0 * (dense + 8.0 * expert)
    weights = dense / tp + expert * 256.0 / ep

    def collectives(rows):
        reduce = 0.0 if tp <= 1 else 28_672 * rows * (tp - 1) / tp / p["nvlink"] + 1.2e-5
        link = p["nvlink"] if ep <= 8 else p["nic"]
        return reduce + (114_688 * rows * (ep - 1) / ep / link + 2.8e-5 if ep > 1 else 0.0)

    prefill = 0.0
    for i in range(math.ceil(prompt / chunk)):
        m = min(chunk, prompt - i * chunk)
        gemm = max(flop * 128 * math.ceil(m / 128) / tp / (peak * p["efficiency"]), weights / hbm)
        flops = 65_536 * m * (i * chunk + m - m / 2) / tp
        fast = tp <= 8 and m >= 128
        second = flops / (peak * 0.7) + 9e-6 if fast else flops / (peak * 0.5) + 4e-6
        attention = min(flops / (peak * 0.55) + 4e-6, second)
        prefill += layers * (gemm + attention + collectives(m)) + p["overhead"]
    batch = min(512, p["batch_tokens"] // 3700)
    active = 256 * (1 - 0.96875 ** (batch * dp))
    gemm = max(
        flop * 128 * math.ceil(batch / 128) / tp / (peak * p["efficiency"]),
        (dense / tp + expert * active / ep) / hbm,
    )
    decode = 0.0
    for j in range(1, output + 1):
        flops, moved = 65_536 * batch * (prompt + j) / tp, batch * kv * (prompt + j)
        kernel = lambda compute, memory, launch: max(flops / (peak * compute), moved / (hbm * memory)) + launch
        second = kernel(0.25, 0.9, 1.6e-5) if batch <= 64 else kernel(0.45, 0.85, 1.1e-5)
        attention = min(kernel(0.3, 0.7, 6e-6), second)
        decode += layers * (gemm + attention + collectives(batch)) + p["overhead"]
    moved = min(p["np"], p["nd"]) * p["nic"] / (kv * layers * prompt)
    return output * min(p["np"] * dp / prefill, p["nd"] * dp * batch / decode, moved)


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


@peer("throughput", "plain Python, the module of to_python()")
def _():
    module = load(SERVER["python"])
    point, want = SERVER["points"][0], SERVER["values"][0]
    got = module["evaluate"](point)
    assert abs(got - want) <= 1e-12 * abs(want), (got, want)
    inputs = module["bound"](point)
    return text(best(lambda: module["model"](*inputs)))


@peer("throughput", "plain Python, loops by hand")
def _():
    point, want = SERVER["points"][0], SERVER["values"][0]
    got = server(point)
    assert abs(got - want) <= 1e-12 * want, (got, want)
    return text(best(lambda: server(point)))


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
    import numpy

    @numba.njit
    def all_points(a, b, c, d):
        total = 0.0
        for i in range(a.size):
            total += compiled(a[i], b[i], c[i], d[i])[0]
        return total

    columns = [numpy.array(column) for column in LAW["columns"]]
    all_points(*columns)
    return per(best(lambda: all_points(*columns)), columns[0].size) + f", compiled in {took:.1f} s"


def casadi_functions():
    import casadi

    function = load(LAW["casadi"])["build"]()
    symbols = function.sx_in()
    value = function(*symbols)[0]
    gradient = casadi.gradient(value, casadi.vertcat(*symbols))
    columns = [casadi.DM(column).T for column in LAW["columns"]]

    def measure(outputs):
        # Many points in one call, so that the call itself is not what is measured.
        many = casadi.Function("f", symbols, outputs).map(len(LAW["columns"][0]))
        return best(lambda: many(*columns)) / len(LAW["columns"][0])

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

    module = load(LAW["numpy"])
    model = lambda *columns: module["model"](*columns, xp=numpy)
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


@peer("e-graph", "SymPy simplify, one of 24 operators", "sympy")
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
