//! Running a program on a box: what values can its outputs take?

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::gradient::Piece;
use super::interval::{Interval, Values};
use super::{Code, Instruction, Op};

/// Terms that sums run over one by one in one evaluation; beyond, one range stands for all terms.
const MAX_TERMS: u64 = 1 << 14;

/// Runs a [`Program`](crate::Program) on boxes, one [`Interval`] per input.
///
/// Every value that an output takes inside the box, exact or rounded, is inside its interval. A
/// guard that the box does not decide lets both of its arms through. A box is not split: an
/// input that occurs twice makes the result wider than need be, never narrower.
///
/// ```
/// use sglsim_expr::{Context, Interval, Symbol, piecewise};
/// let cx = Context::new();
/// let n = cx.symbol(Symbol::int("n").at_least(1.0))?;
/// let e = piecewise([(n.le(8), 10 * &n)], 1000 / &n);
/// let mut bounds = e.compile(&["n"])?.intervals();
/// assert_eq!(bounds.eval1(&[Interval::new(2.0, 5.0)]), Interval::new(20.0, 50.0));
/// let both = bounds.eval1(&[Interval::new(5.0, 10.0)]);
/// assert!(both.lo <= 50.0 && both.hi >= 125.0);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone)]
pub struct IntervalEvaluator {
    pub(super) code: Arc<Code>,
    pub(super) blocks: Vec<Vec<Piece>>,
    pub(super) registers: Registers,
    /// Which registers hold integers.
    pub(super) integer: Vec<bool>,
    /// Which roundings are of a quotient of integers, which is exact.
    quotients: Vec<bool>,
}

/// The values of all registers. Field by field: a processor waits when both ends of a range are
/// read at once that were written one by one.
#[derive(Clone)]
pub(super) struct Registers {
    lo: Vec<f64>,
    hi: Vec<f64>,
    partial: Vec<bool>,
}

impl Registers {
    fn of(points: &[f64]) -> Registers {
        Registers {
            lo: points.to_vec(),
            hi: points.to_vec(),
            partial: points.iter().map(|value| !value.is_finite()).collect(),
        }
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Values {
        Values { lo: self.lo[at], hi: self.hi[at], partial: self.partial[at] }
    }

    #[inline]
    pub(super) fn set(&mut self, at: usize, Values { lo, hi, partial }: Values) {
        self.lo[at] = lo;
        self.hi[at] = hi;
        self.partial[at] = partial;
    }
}

impl IntervalEvaluator {
    pub(super) fn new(code: Arc<Code>) -> IntervalEvaluator {
        let integer = code.integer_registers();
        let quotient = |instruction: &Instruction| {
            let at = (instruction.a as usize).checked_sub(code.first);
            let rounds = matches!(instruction.op, Op::Ceil | Op::Floor);
            at.filter(|_| rounds).is_some_and(|at| {
                let Instruction { op, a, b, .. } = code.instructions[at];
                op == Op::Div && integer[a as usize] && integer[b as usize]
            })
        };
        IntervalEvaluator {
            blocks: code.blocks(),
            registers: Registers::of(&code.registers),
            quotients: code.instructions.iter().map(quotient).collect(),
            integer,
            code,
        }
    }

    /// Bounds of all outputs over the box `inputs`.
    ///
    /// Values that are not finite numbers are not counted: the interval of `1 / x` over `[0, 1]`
    /// starts at 1 and has no end.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs or outputs as the program has.
    pub fn eval(&mut self, inputs: &[Interval], outputs: &mut [Interval]) {
        assert_eq!(outputs.len(), self.code.outputs.len(), "outputs of the program");
        self.forward(inputs);
        for (bound, register) in outputs.iter_mut().zip(&self.code.outputs) {
            let Values { lo, hi, .. } = self.registers.get(*register as usize);
            *bound = Interval { lo, hi };
        }
    }

    /// Bounds of the first output.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs as the program has, or it has no output.
    pub fn eval1(&mut self, inputs: &[Interval]) -> Interval {
        self.forward(inputs);
        let Values { lo, hi, .. } = self.registers.get(self.code.outputs[0] as usize);
        Interval { lo, hi }
    }

    pub(super) fn forward(&mut self, inputs: &[Interval]) {
        let code = Arc::clone(&self.code);
        assert_eq!(inputs.len(), code.inputs.len(), "inputs of the program");
        for (register, Interval { lo, hi }) in inputs.iter().enumerate() {
            let bounded = *lo > f64::NEG_INFINITY && *hi < f64::INFINITY;
            self.registers.set(register, Values { lo: *lo, hi: *hi, partial: !bounded });
        }
        let mut fuel = MAX_TERMS;
        self.run(&code, 0..code.instructions.len(), &mut fuel);
    }

    fn run(&mut self, code: &Code, range: Range<usize>, fuel: &mut u64) {
        let mut at = range.start;
        while at < range.end {
            let Instruction { op, a, b, c } = code.instructions[at];
            let result = code.first + at;
            let exact = self.integer[result];
            let x = self.registers.get(a as usize);
            match op {
                Op::Add => self.registers.set(result, x.add(self.registers.get(b as usize), exact)),
                Op::Sub => self.registers.set(result, x.sub(self.registers.get(b as usize), exact)),
                Op::Mul => self.registers.set(result, x.mul(self.registers.get(b as usize), exact)),
                Op::MulAdd => self.registers.set(
                    result,
                    x.mul(self.registers.get(b as usize), exact)
                        .add(self.registers.get(c as usize), exact),
                ),
                Op::Div => self.registers.set(result, x.div(self.registers.get(b as usize))),
                Op::Neg => self.registers.set(result, x.neg()),
                Op::PowInt => {
                    self.registers.set(result, x.powi(i32::try_from(b).unwrap_or(i32::MAX), exact))
                }
                Op::Pow => self.registers.set(result, x.pow(self.registers.get(b as usize))),
                Op::Sqrt => self.registers.set(result, x.sqrt()),
                Op::Exp => self.registers.set(result, x.exp()),
                Op::Ln => self.registers.set(result, x.ln()),
                Op::Max => self.registers.set(result, x.max(self.registers.get(b as usize))),
                Op::Min => self.registers.set(result, x.min(self.registers.get(b as usize))),
                Op::Ceil => self.registers.set(result, self.dividend(code, at).rounded(f64::ceil)),
                Op::Floor => {
                    self.registers.set(result, self.dividend(code, at).rounded(f64::floor))
                }
                Op::Le => self.registers.set(result, x.le(self.registers.get(b as usize))),
                Op::Lt => self.registers.set(result, x.lt(self.registers.get(b as usize))),
                Op::Eq => self.registers.set(result, x.equals(self.registers.get(b as usize))),
                Op::And => self.registers.set(result, x.and(self.registers.get(b as usize))),
                Op::Or => self.registers.set(result, x.or(self.registers.get(b as usize))),
                Op::Not => self.registers.set(result, x.not()),
                Op::Select => self.registers.set(
                    result,
                    x.select(self.registers.get(b as usize), self.registers.get(c as usize)),
                ),
                Op::Sum => {
                    let body = code.body(at);
                    let limits = (x, self.registers.get(b as usize));
                    let term = code.loops[c as usize].term as usize;
                    let sum = self.run_loop(code, body.clone(), limits, term, (exact, fuel));
                    self.registers.set(result, sum);
                    at = body.end;
                    continue;
                }
                Op::Root => {
                    let root = self.search(code, at, fuel);
                    self.registers.set(result, root);
                    at = code.body(at).end;
                    continue;
                }
                Op::Table => self.registers.set(result, entries(&code.tables[b as usize], x)),
                // Written by the loop.
                Op::Index => {}
            }
            at += 1;
        }
    }

    /// What a `ceil` or `floor` rounds. A quotient of integers rounds to the right integer as it
    /// is, and one step outward would be a whole step too far.
    fn dividend(&self, code: &Code, at: usize) -> Values {
        let operand = code.instructions[at].a as usize;
        let value = self.registers.get(operand);
        if !self.quotients[at] || value.partial {
            return value;
        }
        let Instruction { a, b, .. } = code.instructions[operand - code.first];
        let (lo, hi) = self.registers.get(a as usize).quotient(self.registers.get(b as usize));
        Values { lo, hi, ..value }
    }

    /// Terms that are certainly there, and those that may be.
    fn run_loop(
        &mut self,
        code: &Code,
        body: Range<usize>,
        (lo, hi): (Values, Values),
        term: usize,
        (exact, fuel): (bool, &mut u64),
    ) -> Values {
        let zero = Values { lo: 0.0, hi: 0.0, partial: lo.partial || hi.partial };
        let index = code.first + body.start;
        let count = hi.hi - lo.lo + 1.0;
        if count <= 0.0 && !zero.partial {
            return zero;
        }
        if count.is_finite() && count.max(0.0) as u64 <= *fuel && !zero.partial {
            *fuel -= count as u64;
            let mut sum = zero;
            for step in 0..count as u64 {
                let i = lo.lo + step as f64;
                self.registers.set(index, Values { lo: i, hi: i, partial: false });
                self.run(code, body.clone(), fuel);
                let value = self.registers.get(term);
                let certain = lo.hi <= i && i <= hi.lo;
                sum = sum.add(if certain { value } else { value.hull(zero) }, exact);
            }
            return sum;
        }
        // One range for all terms, as many as there may be.
        self.registers.set(index, Values { lo: lo.lo, hi: hi.hi, partial: false });
        self.run(code, body, &mut 0);
        let fewest = (hi.lo - lo.hi + 1.0).max(0.0);
        let count = Values { lo: fewest, hi: count.max(0.0), partial: false };
        let sum = count.mul(self.registers.get(term), false);
        // The terms are rounded one by one.
        let rounding = f64::EPSILON * count.hi;
        let wider = |end: f64| end.abs() * rounding;
        let size = wider(sum.lo).max(wider(sum.hi));
        let size = if size.is_nan() { f64::INFINITY } else { size };
        let partial = sum.partial || zero.partial;
        let (lo, hi) =
            if zero.partial { (sum.lo.min(0.0), sum.hi.max(0.0)) } else { (sum.lo, sum.hi) };
        Values { lo: lo - size, hi: hi + size, partial }
    }

    /// Where a fixed point can be: halves the range from both sides as long as one half certainly
    /// has none, which is where `x − f(x)` has one sign.
    fn search(&mut self, code: &Code, at: usize, fuel: &mut u64) -> Values {
        const HALVINGS: u32 = 40;
        let Instruction { a, b, c, .. } = code.instructions[at];
        let body = code.body(at);
        let index = code.first + body.start;
        let term = code.loops[c as usize].term as usize;
        let (from, to) = (self.registers.get(a as usize), self.registers.get(b as usize));
        let mut residual = |x: f64| {
            let x = Values { lo: x, hi: x, partial: false };
            self.registers.set(index, x);
            self.run(code, body.clone(), fuel);
            x.sub(self.registers.get(term), false)
        };
        let (mut lo, mut hi) = (from.lo, to.hi);
        let ends = [from.lo, from.hi, to.lo, to.hi];
        if from.partial || to.partial || ends.iter().any(|end| !end.is_finite()) {
            return Values { lo, hi, partial: true };
        }
        let (first, last) = (residual(from.hi), residual(to.lo));
        let bracketed = from.hi <= to.lo && first.hi <= 0.0 && last.lo >= 0.0;
        let partial = !bracketed || first.partial || last.partial;
        let (mut left, mut right) = (hi, lo);
        for _ in 0..HALVINGS {
            let (below, above) = (lo + (left - lo) / 2.0, hi - (hi - right) / 2.0);
            let (low, high) = (residual(below), residual(above));
            if low.hi < 0.0 && !low.partial {
                lo = below
            } else {
                left = below
            }
            if high.lo > 0.0 && !high.partial { hi = above } else { right = above }
        }
        // A search ends near the point where the rounded residual changes its sign.
        let slack = 1e-9 * lo.abs().max(hi.abs());
        Values { lo: (lo - slack).max(from.lo), hi: (hi + slack).min(to.hi), partial }
    }
}

/// The entries of a table that a range of indices covers.
fn entries(table: &[f64], index: Values) -> Values {
    let last = table.len() as f64 - 1.0;
    let inside = 0.0 <= index.lo && index.hi <= last && !index.partial;
    let first = index.lo.clamp(0.0, last.max(0.0)) as usize;
    let end = (index.hi.clamp(0.0, last.max(0.0)) as usize + 1).min(table.len());
    let covered = table[first.min(end)..end].iter().copied();
    let lo = covered.clone().fold(f64::INFINITY, f64::min);
    let hi = covered.fold(f64::NEG_INFINITY, f64::max);
    let (lo, hi) = if lo <= hi { (lo, hi) } else { (f64::NEG_INFINITY, f64::INFINITY) };
    Values { lo, hi, partial: !inside }
}

impl Code {
    /// Which registers hold integers at every point.
    fn integer_registers(&self) -> Vec<bool> {
        let mut integer: Vec<bool> =
            self.registers[..self.first].iter().map(|value| value.fract() == 0.0).collect();
        integer[..self.inputs.len()].copy_from_slice(&self.integers);
        integer.resize(self.registers.len(), false);
        let mut unknowns = vec![false; self.instructions.len()];
        for (at, instruction) in self.instructions.iter().enumerate() {
            if instruction.op == Op::Root {
                unknowns[at + 1] = true;
            }
        }
        // Twice, because the term of a sum comes after the sum.
        for _ in 0..2 {
            for (at, instruction) in self.instructions.iter().enumerate() {
                let Instruction { op, a, b, c } = *instruction;
                let [a, b, c] = [a, b, c].map(|r| integer.get(r as usize).is_some_and(|i| *i));
                integer[self.first + at] = match op {
                    Op::Add | Op::Sub | Op::Mul | Op::Max | Op::Min => a && b,
                    Op::MulAdd => a && b && c,
                    Op::Neg | Op::PowInt => a,
                    Op::Select => b && c,
                    Op::Index => !unknowns[at],
                    Op::Table => {
                        self.tables[instruction.b as usize].iter().all(|v| v.fract() == 0.0)
                    }
                    Op::Ceil | Op::Floor => true,
                    Op::Le | Op::Lt | Op::Eq | Op::And | Op::Or | Op::Not => true,
                    Op::Sum => integer[self.loops[instruction.c as usize].term as usize],
                    _ => false,
                };
            }
        }
        integer
    }
}

impl fmt::Debug for IntervalEvaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntervalEvaluator").field("code", &self.code).finish_non_exhaustive()
    }
}
