//! Running a program on many points at once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Code, Instruction, MAX_TERMS, Op, eval};
use crate::math;

/// Points that one pass over the instructions evaluates.
const LANES: usize = 64;

/// One value per point.
type Lanes = [f64; LANES];

/// Runs a [`Program`](crate::Program) on columns of points, 64 points per instruction.
///
/// The values are those of [`Evaluator::eval`](crate::Evaluator::eval) to the last bit. A loop runs
/// as often as its longest lane needs.
///
/// ```
/// use sglsim_expr::{Context, Symbol, max};
/// let cx = Context::new();
/// let (x, y) = (cx.symbol(Symbol::real("x"))?, cx.symbol(Symbol::real("y"))?);
/// let mut batch = max(&x * &y, 5).compile(&["x", "y"])?.batch();
/// let mut out = [0.0; 3];
/// batch.eval(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]], &mut [&mut out]);
/// assert_eq!(out, [5.0, 10.0, 18.0]);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone)]
pub struct BatchEvaluator {
    code: Arc<Code>,
    registers: Vec<Lanes>,
}

/// What loops need to know about each lane.
#[derive(Clone)]
struct Active {
    /// Whether the lane is still in the loop.
    lanes: [bool; LANES],
    /// Terms that sums may still run over; `None` once they asked for more.
    fuel: [Option<u64>; LANES],
}

impl BatchEvaluator {
    pub(super) fn new(code: Arc<Code>) -> BatchEvaluator {
        let registers = code.registers.iter().map(|value| [*value; LANES]).collect();
        BatchEvaluator { code, registers }
    }

    /// Evaluates at all points: `columns` holds one slice per input, `outputs` one per output.
    ///
    /// What is not defined comes out as NaN or infinite, as from
    /// [`Evaluator::eval`](crate::Evaluator::eval).
    ///
    /// # Panics
    ///
    /// If there are not as many columns and outputs as the program has, or they differ in length.
    pub fn eval(&mut self, columns: &[&[f64]], outputs: &mut [&mut [f64]]) {
        assert_eq!(columns.len(), self.code.inputs.len(), "inputs of the program");
        assert_eq!(outputs.len(), self.code.outputs.len(), "outputs of the program");
        let points = columns.first().map_or(0, |column| column.len());
        let points = outputs.first().map_or(points, |output| output.len());
        assert!(columns.iter().all(|column| column.len() == points), "columns of equal length");
        assert!(outputs.iter().all(|output| output.len() == points), "outputs of equal length");
        for start in (0..points).step_by(LANES) {
            let end = points.min(start + LANES);
            for (register, column) in self.registers.iter_mut().zip(columns) {
                register[..end - start].copy_from_slice(&column[start..end]);
                // A last, partial batch is filled up with its last point.
                register[end - start..].fill(column[end - 1]);
            }
            let mut active = Active { lanes: [true; LANES], fuel: [Some(MAX_TERMS); LANES] };
            let all = 0..self.code.instructions.len();
            run(&self.code, all, &mut self.registers, &mut active);
            for (output, register) in outputs.iter_mut().zip(&self.code.outputs) {
                let values = &self.registers[*register as usize];
                output[start..end].copy_from_slice(&values[..end - start]);
            }
        }
    }
}

fn run(code: &Code, range: Range<usize>, registers: &mut [Lanes], active: &mut Active) {
    let mut at = range.start;
    while at < range.end {
        let Instruction { op, a, b, c } = code.instructions[at];
        if op == Op::Sum {
            let body = at + 1..at + 1 + code.loops[c as usize].length as usize;
            let limits = (registers[a as usize], registers[b as usize]);
            let term = code.loops[c as usize].term as usize;
            registers[code.first + at] =
                run_loop(code, body.clone(), limits, term, registers, active);
            at = body.end;
            continue;
        }
        if op == Op::Root {
            registers[code.first + at] = search(code, at, registers, active);
            at = code.body(at).end;
            continue;
        }
        // Operands have smaller numbers than the result.
        let (before, rest) = registers.split_at_mut(code.first + at);
        let out = &mut rest[0];
        let [x, y, z] = [a, b, c].map(|register| before.get(register as usize).unwrap_or(&ZERO));
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        match op {
            Op::Add => each2(out, x, y, |x, y| x + y),
            Op::Sub => each2(out, x, y, |x, y| x - y),
            Op::Mul | Op::And => each2(out, x, y, |x, y| x * y),
            Op::MulAdd => each3(out, x, y, z, |x, y, z| x * y + z),
            Op::Div => each2(out, x, y, |x, y| x / y),
            Op::Neg => each1(out, x, |x| -x),
            Op::PowInt => {
                let exponent = i32::try_from(b).unwrap_or(i32::MAX);
                each1(out, x, |x| math::powi(x, exponent));
            }
            Op::Pow => each2(out, x, y, math::pow),
            Op::Sqrt => each1(out, x, f64::sqrt),
            Op::Exp => each1(out, x, f64::exp),
            Op::Ln => each1(out, x, f64::ln),
            Op::Max | Op::Or => each2(out, x, y, math::max),
            Op::Min => each2(out, x, y, math::min),
            Op::Ceil => each1(out, x, math::ceil),
            Op::Floor => each1(out, x, math::floor),
            Op::Le => each2(out, x, y, |x, y| truth(x <= y)),
            Op::Lt => each2(out, x, y, |x, y| truth(x < y)),
            Op::Eq => each2(out, x, y, |x, y| truth(x == y)),
            Op::Not => each1(out, x, |x| 1.0 - x),
            Op::Select => each3(out, x, y, z, |x, y, z| if x != 0.0 { y } else { z }),
            Op::Table => each1(out, x, |x| code.entry(b, x)),
            Op::Sum | Op::Root => unreachable!("ran above"),
            // Written by the loop.
            Op::Index => {}
        }
        at += 1;
    }
}

/// Fixed points, lane by lane: each search takes its own way.
fn search(code: &Code, at: usize, registers: &[Lanes], active: &mut Active) -> Lanes {
    let mut roots = [f64::NAN; LANES];
    for lane in (0..LANES).filter(|lane| active.lanes[*lane]) {
        let mut own: Vec<f64> = registers.iter().map(|values| values[lane]).collect();
        roots[lane] = eval::run_search(code, at, &mut own, &mut active.fuel[lane]);
    }
    roots
}

static ZERO: Lanes = [0.0; LANES];

fn run_loop(
    code: &Code,
    body: Range<usize>,
    (lo, hi): (Lanes, Lanes),
    term: usize,
    registers: &mut [Lanes],
    active: &mut Active,
) -> Lanes {
    let mut sum = [0.0; LANES];
    let mut trips = [0; LANES];
    for lane in (0..LANES).filter(|lane| active.lanes[*lane]) {
        let wanted = hi[lane] - lo[lane] + 1.0;
        if wanted <= 0.0 {
            continue;
        }
        let fuel = &mut active.fuel[lane];
        if !wanted.is_nan() {
            trips[lane] = wanted as u64;
            *fuel = fuel.and_then(|left| left.checked_sub(trips[lane]));
        }
        if wanted.is_nan() || fuel.is_none() {
            (sum[lane], trips[lane]) = (f64::NAN, 0);
        }
    }
    let outside = active.lanes;
    let longest = trips.into_iter().max().unwrap_or(0);
    for step in 0..longest {
        active.lanes = trips.map(|trips| step < trips);
        each1(&mut registers[code.first + body.start], &lo, |lo| lo + step as f64);
        run(code, body.clone(), registers, active);
        let terms = &registers[term];
        for lane in 0..LANES {
            let next = sum[lane] + terms[lane];
            sum[lane] = if active.lanes[lane] { next } else { sum[lane] };
        }
    }
    active.lanes = outside;
    sum
}

#[inline]
fn each1(out: &mut Lanes, x: &Lanes, f: impl Fn(f64) -> f64) {
    for lane in 0..LANES {
        out[lane] = f(x[lane]);
    }
}

#[inline]
fn each2(out: &mut Lanes, x: &Lanes, y: &Lanes, f: impl Fn(f64, f64) -> f64) {
    for lane in 0..LANES {
        out[lane] = f(x[lane], y[lane]);
    }
}

#[inline]
fn each3(out: &mut Lanes, x: &Lanes, y: &Lanes, z: &Lanes, f: impl Fn(f64, f64, f64) -> f64) {
    for lane in 0..LANES {
        out[lane] = f(x[lane], y[lane], z[lane]);
    }
}

impl fmt::Debug for BatchEvaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchEvaluator").field("code", &self.code).finish_non_exhaustive()
    }
}
