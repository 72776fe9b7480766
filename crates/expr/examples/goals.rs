//! How fast the crate is: every goal with its figure, beside the figures of what others use.
//!
//! `cargo run --release -p sglsim-expr --example goals`
//!
//! With `SGLSIM_PYTHON` the peers run too, as far as that interpreter has them: SymPy, NumPy, numba,
//! CasADi, and plain Python (`pip install sympy numpy numba casadi`). Every figure is the shortest
//! of many rounds, so that other work on the machine hardly shows.

#![expect(clippy::print_stdout, reason = "prints a table")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::disallowed_types, reason = "measures time")]
#![expect(dead_code, reason = "the tests use more of the shared modules")]

use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglsim_expr::{Interval, Limits, Module, Program};

#[path = "../benches/law/mod.rs"]
mod law;
#[path = "../tests/it/server.rs"]
mod server;

/// Shortest of many rounds, in nanoseconds per call.
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    const ROUND: Duration = Duration::from_micros(100);
    let (mut calls, mut shortest) = (1, f64::INFINITY);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        let round = Instant::now();
        for _ in 0..calls {
            black_box(run());
        }
        let took = round.elapsed();
        shortest = shortest.min(took.as_nanos() as f64 / f64::from(calls));
        if took < ROUND {
            calls *= 2;
        }
    }
    shortest
}

/// Mean of some calls that are too long to stay undisturbed, in nanoseconds of a processor where
/// Linux tells them.
fn mean<T>(mut run: impl FnMut() -> T) -> f64 {
    const CALLS: u32 = 20;
    let (start, on_processor) = (Instant::now(), processor_time());
    for _ in 0..CALLS {
        black_box(run());
    }
    let took = start.elapsed().as_nanos() as f64;
    let own = processor_time().zip(on_processor).map(|(end, start)| end - start);
    own.unwrap_or(took) / f64::from(CALLS)
}

/// Nanoseconds that this thread has had a processor for, up to a tick.
fn processor_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

struct Row {
    /// What the peers call it.
    key: &'static str,
    goal: &'static str,
    must: &'static str,
    figure: String,
}

/// Points that the evaluators run at.
const POINT: [f64; 4] = [100.0, 5000.0, 2.0, 8.0];

fn columns() -> Vec<Vec<f64>> {
    POINT.iter().map(|x| (0..4096).map(|k| x + f64::from(k)).collect()).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let module = server::build().module;
    let law = law::law();
    let program = law.compile(&law::INPUTS)?;
    let frozen = module.compile(&server::KNOBS)?;
    println!(
        "server: {} nodes, {} instructions; law of {} operators: {} nodes, {} instructions\n",
        module.objective.size(),
        frozen.instructions(),
        law::OPERATORS,
        law.size(),
        program.instructions()
    );
    let mut rows = building(&module);
    let (points, values) = feasible(&frozen);
    rows.extend(evaluating(&program, &frozen, &points));
    let peers = peers(&module, &program, &points, &values)?;
    let of_python = [
        ("import", "to_sympy(), import", "0.5 s"),
        ("lambdified", "lambdified = tape, 10⁴ feasible points", "1e-12"),
    ];
    rows.extend(of_python.map(|(key, goal, must)| Row { key, goal, must, figure: String::new() }));
    print(&rows, peers.as_ref());
    Ok(())
}

fn building(module: &Module) -> Vec<Row> {
    let build = best(server::build);
    let egraph = mean(|| module.objective.simplify(&Limits::default()));
    vec![
        Row {
            key: "build",
            goal: "build, normalise and analyse the server",
            must: "1 ms",
            figure: format!("{:.2} ms", build / 1e6),
        },
        Row {
            key: "e-graph",
            goal: "simplify it (prune, e-graph, check)",
            must: "100 ms",
            figure: format!("{:.0} ms", egraph / 1e6),
        },
    ]
}

/// Runs at one point after the other, as a search does; a point that is always the same would be
/// known to the processor by heart.
fn cycled<T>(points: &[Vec<T>], mut run: impl FnMut(&[T])) -> f64 {
    let mut at = 0;
    best(|| {
        at = if at + 1 < points.len() { at + 1 } else { 0 };
        run(black_box(&points[at]));
    })
}

fn evaluating(program: &Program, frozen: &Program, feasible: &[[f64; 7]]) -> Vec<Row> {
    let columns = columns();
    let at = |k: usize| columns.iter().map(|column| column[k]).collect::<Vec<f64>>();
    let of_law: Vec<Vec<f64>> = (0..4096).map(at).collect();
    // One chunk: a loop in it runs once, so that instructions can be counted.
    let single = feasible.iter().filter(|point| point[2] >= 3000.0);
    let of_server: Vec<Vec<f64>> = single.map(|point| point.to_vec()).collect();
    let one = |program: &Program, points: &[Vec<f64>]| {
        let (mut scalar, mut out) = (program.evaluator(), vec![0.0; program.outputs()]);
        cycled(points, |point| scalar.eval(point, &mut out))
    };
    let bounds = |program: &Program, points: &[Vec<f64>]| {
        let side = |x: &f64| Interval::new(*x, x * 1.1);
        let boxes: Vec<Vec<Interval>> =
            points.iter().map(|point| point.iter().map(side).collect()).collect();
        let mut intervals = program.intervals();
        let mut out = vec![Interval::ALL; program.outputs()];
        cycled(&boxes, |sides| intervals.eval(sides, &mut out))
    };
    let size = |program: &Program| program.instructions() as f64;
    let both = |law: f64, server: f64| {
        format!("{:.2} ns (server {:.2})", law / size(program), server / size(frozen))
    };
    let (value, throughput) = (one(program, &of_law), one(frozen, &of_server));
    let mut slopes = [0.0; 4];
    let mut gradient = program.gradient();
    let slope = cycled(&of_law, |point| {
        gradient.eval(point, &mut slopes);
    });
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let (mut batch, mut out) = (program.batch(), vec![0.0; 4096]);
    let batch = best(|| batch.eval(black_box(&columns), &mut [&mut out])) / 4096.0;
    let row = |key, goal, must, figure| Row { key, goal, must, figure };
    vec![
        row("scalar", "scalar tape, per instruction", "2.5 ns", both(value, throughput)),
        row(
            "batch",
            "batch tape, per instruction and point",
            "0.5 ns",
            format!("{:.2} ns", batch / size(program)),
        ),
        row(
            "gradient",
            "gradient by all inputs, of the value",
            "2 ×",
            format!("{:.2} ×", slope / value),
        ),
        row(
            "interval",
            "intervals, per instruction",
            "4 ns",
            both(bounds(program, &of_law), bounds(frozen, &of_server)),
        ),
        row(
            "throughput",
            "throughput and constraints of the server",
            "1 µs",
            format!("{throughput:.0} ns"),
        ),
    ]
}

/// 10⁴ configurations of the server that meet all constraints, and their values.
fn feasible(frozen: &Program) -> (Vec<[f64; 7]>, Vec<f64>) {
    // Steps of a generator of Lehmer's, modulus 2³¹ − 1 (Park and Miller 1988).
    let mut state: u64 = 1;
    let mut draw = |below: u64| {
        state = state * 48_271 % 0x7fff_ffff;
        (state % below) as f64
    };
    let mut scalar = frozen.evaluator();
    let mut out = vec![0.0; frozen.outputs()];
    let (mut points, mut values) = (Vec::new(), Vec::new());
    while points.len() < 10_000 {
        let mut power = |below| f64::exp2(draw(below));
        let (tp, dp, ep) = (power(5), power(6), power(7));
        let point = [
            1.0 + draw(16),
            1.0 + draw(16),
            128.0 * (1.0 + draw(64)),
            4096.0 * (1.0 + draw(256)),
            tp,
            dp,
            ep,
        ];
        scalar.eval(&point, &mut out);
        if out[1..].iter().all(|holds| *holds == 1.0) {
            points.push(point);
            values.push(out[0]);
        }
    }
    (points, values)
}

/// Rows of goal, peer and figure.
fn peers(
    module: &Module,
    program: &Program,
    points: &[[f64; 7]],
    values: &[f64],
) -> Result<Option<Vec<[String; 3]>>, Box<dyn Error>> {
    let Some(python) = std::env::var_os("SGLSIM_PYTHON") else { return Ok(None) };
    let law = law::law();
    let mut of_law = Module::new("law", "time", law.clone());
    for symbol in law.free_symbols() {
        of_law = of_law.variable(&law.context().symbol(symbol)?);
    }
    let of_law = of_law.values(&law::INPUTS.into_iter().zip(POINT).collect());
    let one = Module::new("operator", "time", law::operators(1)).values(&of_law.values);
    let points: Vec<Value> = points.iter().map(|point| json!(server::values(point))).collect();
    let input = json!({
        "server": {
            "sympy": module.to_sympy()?,
            "python": module.to_python()?,
            "points": points,
            "values": values,
        },
        "law": {
            "sympy": of_law.to_sympy()?,
            "numpy": of_law.to_numpy()?,
            "casadi": of_law.to_casadi()?,
            "instructions": program.instructions(),
            "point": POINT,
            "columns": columns(),
        },
        "operator": one.to_sympy()?,
    });
    let path = std::env::temp_dir().join(format!("sglsim-goals-{}.json", std::process::id()));
    std::fs::write(&path, input.to_string())?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/peers.py");
    let output = Command::new(python).arg(script).arg(&path).output();
    std::fs::remove_file(&path)?;
    let output = output?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

fn print(rows: &[Row], peers: Option<&Vec<[String; 3]>>) {
    println!("{:<42} {:>7}  figure", "goal", "must");
    for Row { key, goal, must, figure } in rows {
        println!("{goal:<42} {must:>7}  {figure}");
        for [_, peer, figure] in peers.into_iter().flatten().filter(|[of, ..]| of == key) {
            println!("    {peer:<47} {figure}");
        }
    }
    if peers.is_none() {
        println!("\nThe peers need a Python interpreter in SGLSIM_PYTHON.");
    }
}
