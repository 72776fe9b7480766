//! Running a program on a box: what values can its outputs take?

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::interval::{Interval, Partial, Values};
use super::{Code, Instruction, Op, Piece};

/// Terms that sums run over one by one in one evaluation; beyond, one range stands for all terms.
pub(super) const MAX_TERMS: u64 = 1 << 14;

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
    pub(super) plan: Arc<Plan>,
    pub(super) registers: Vec<Values>,
}

/// What is known of a program before its box.
pub(super) struct Plan {
    /// Which registers hold integers.
    pub(super) integer: Vec<bool>,
    /// Which roundings are of a quotient of integers, which is exact.
    quotients: Vec<bool>,
}

impl Plan {
    fn of(code: &Code) -> Plan {
        let integer = code.integer_registers();
        let quotient = |instruction: &Instruction| {
            let at = (instruction.a as usize).checked_sub(code.first);
            let rounds = matches!(instruction.op, Op::Ceil | Op::Floor);
            at.filter(|_| rounds).is_some_and(|at| {
                let Instruction { op, a, b, .. } = code.instructions[at];
                op == Op::Div && integer[a as usize] && integer[b as usize]
            })
        };
        Plan { quotients: code.instructions.iter().map(quotient).collect(), integer }
    }
}

impl IntervalEvaluator {
    pub(super) fn new(code: Arc<Code>) -> IntervalEvaluator {
        IntervalEvaluator {
            plan: Arc::new(Plan::of(&code)),
            registers: code.registers.iter().map(|value| Values::constant(*value)).collect(),
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
            *bound = self.registers[*register as usize].interval();
        }
    }

    /// Bounds of the first output.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs as the program has, or it has no output.
    pub fn eval1(&mut self, inputs: &[Interval]) -> Interval {
        self.forward(inputs);
        self.registers[self.code.outputs[0] as usize].interval()
    }

    pub(super) fn forward(&mut self, inputs: &[Interval]) {
        assert_eq!(inputs.len(), self.code.inputs.len(), "inputs of the program");
        for (register, side) in self.registers.iter_mut().zip(inputs) {
            *register = Values::input(*side);
        }
        let registers = &mut self.registers;
        Forward { code: &self.code, plan: &self.plan, registers, fuel: MAX_TERMS }.block(0);
    }
}

pub(super) struct Forward<'a> {
    pub(super) code: &'a Code,
    pub(super) plan: &'a Plan,
    pub(super) registers: &'a mut [Values],
    /// Terms that sums may still run over one by one.
    pub(super) fuel: u64,
}

impl Forward<'_> {
    pub(super) fn block(&mut self, block: usize) {
        let code = self.code;
        for piece in &code.blocks[block] {
            match piece {
                Piece::Run(op, range) => self.same(*op, range.clone()),
                Piece::Loop(at) => {
                    let value = match code.instructions[*at].op {
                        Op::Sum => self.sum(*at),
                        _ => self.search(*at),
                    };
                    self.registers[code.first + at] = value;
                }
            }
        }
    }

    /// Instructions of the same operation. Most operands are defined and of ordinary size and sign,
    /// which is a fifth of the work.
    fn same(&mut self, op: Op, range: Range<usize>) {
        let (code, plan) = (self.code, self.plan);
        let registers = &mut *self.registers;
        let results = code.first + range.start..code.first + range.end;
        let instructions = &code.instructions[range.clone()];
        macro_rules! each {
            (|$x:ident, $y:ident, $integer:ident| $usual:expr) => {
                each!(|$x, $integer, i, registers| {
                    let $y = registers[i.b as usize];
                    $usual
                })
            };
            (|$x:ident, $integer:ident, $i:ident, $registers:ident| $usual:expr) => {
                for ((at, $i), integer) in
                    range.zip(instructions).zip(&plan.integer[results])
                {
                    let ($registers, $integer) = (&*registers, *integer);
                    let $x = $registers[$i.a as usize];
                    registers[code.first + at] = match $usual {
                        Some(value) => value,
                        None => general(code, plan, registers, at),
                    };
                }
            };
        }
        match op {
            Op::Add => each!(|x, y, integer| x.usual_add(y, integer)),
            Op::Sub => each!(|x, y, integer| x.usual_add(y.neg(), integer)),
            Op::Mul => each!(|x, y, integer| x.usual_mul(y, integer)),
            Op::MulAdd => each!(|x, integer, i, registers| {
                let product = x.usual_mul(registers[i.b as usize], integer);
                product.and_then(|product| product.usual_add(registers[i.c as usize], integer))
            }),
            Op::Div => each!(|x, y, _integer| x.usual_div(y)),
            Op::Max => each!(|x, y, _integer| x.usual_max(y)),
            Op::Min => each!(|x, y, _integer| x.usual_min(y)),
            Op::Le => each!(|x, y, _integer| x.usual_le(y)),
            Op::Lt => each!(|x, y, _integer| x.usual_lt(y)),
            Op::Select => each!(|x, _integer, i, registers| {
                Some(x.select(registers[i.b as usize], registers[i.c as usize]))
            }),
            _ => {
                range.for_each(|at| registers[code.first + at] = general(code, plan, registers, at))
            }
        }
    }

    /// Terms that are certainly there, and those that may be.
    fn sum(&mut self, at: usize) -> Values {
        let Instruction { a, b, c, .. } = self.code.instructions[at];
        let (lo, hi) = (self.registers[a as usize], self.registers[b as usize]);
        let block = c as usize + 1;
        let term = self.code.loops[c as usize].term as usize;
        let integer = self.plan.integer[self.code.first + at];
        let zero = Values::new(0.0, 0.0, lo.partial | hi.partial);
        let index = self.code.first + at + 1;
        let count = hi.hi() - lo.lo() + 1.0;
        if count <= 0.0 && zero.partial.is_no() {
            return zero;
        }
        if count.is_finite() && count.max(0.0) as u64 <= self.fuel && zero.partial.is_no() {
            self.fuel -= count as u64;
            let mut sum = zero;
            for step in 0..count as u64 {
                let i = lo.lo() + step as f64;
                self.registers[index] = Values::point(i);
                self.block(block);
                let value = self.registers[term];
                let certain = lo.hi() <= i && i <= hi.lo();
                sum = sum.add(if certain { value } else { value.hull(zero) }, integer);
            }
            return sum;
        }
        // One range for all terms, as many as there may be.
        self.registers[index] = Values::new(lo.lo(), hi.hi(), Partial::NO);
        let fuel = std::mem::take(&mut self.fuel);
        self.block(block);
        self.fuel = fuel;
        let fewest = (hi.lo() - lo.hi() + 1.0).max(0.0);
        let count = Values::new(fewest, count.max(0.0), Partial::NO);
        let sum = count.mul(self.registers[term], false);
        // The terms are rounded one by one.
        let rounding = f64::EPSILON * count.hi();
        let wider = |end: f64| end.abs() * rounding;
        let size = wider(sum.lo()).max(wider(sum.hi()));
        let size = if size.is_nan() { f64::INFINITY } else { size };
        let Interval { lo, hi } = sum.interval();
        let (lo, hi) = if zero.partial.is_no() { (lo, hi) } else { (lo.min(0.0), hi.max(0.0)) };
        Values::new(lo - size, hi + size, sum.partial | zero.partial)
    }

    /// Where a fixed point can be: halves the range from both sides as long as one half certainly
    /// has none, which is where `x − f(x)` has one sign.
    fn search(&mut self, at: usize) -> Values {
        const HALVINGS: u32 = 40;
        let Instruction { a, b, c, .. } = self.code.instructions[at];
        let index = self.code.first + at + 1;
        let term = self.code.loops[c as usize].term as usize;
        let (from, to) = (self.registers[a as usize], self.registers[b as usize]);
        let mut residual = |x: f64| {
            self.registers[index] = Values::point(x);
            self.block(c as usize + 1);
            Values::point(x).sub(self.registers[term], false)
        };
        let (mut lo, mut hi) = (from.lo(), to.hi());
        let ends = [from.lo(), from.hi(), to.lo(), to.hi()];
        if !(from.partial | to.partial).is_no() || ends.iter().any(|end| !end.is_finite()) {
            return Values::new(lo, hi, Partial::YES);
        }
        let (first, last) = (residual(from.hi()), residual(to.lo()));
        let bracketed = from.hi() <= to.lo() && first.hi() <= 0.0 && last.lo() >= 0.0;
        let bracketed = bracketed && (first.partial | last.partial).is_no();
        let (mut left, mut right) = (hi, lo);
        for _ in 0..HALVINGS {
            let (below, above) = (lo + (left - lo) / 2.0, hi - (hi - right) / 2.0);
            let (low, high) = (residual(below), residual(above));
            if low.hi() < 0.0 && low.partial.is_no() {
                lo = below
            } else {
                left = below
            }
            if high.lo() > 0.0 && high.partial.is_no() { hi = above } else { right = above }
        }
        // A search ends near the point where the rounded residual changes its sign.
        let slack = 1e-9 * lo.abs().max(hi.abs());
        Values::new(
            (lo - slack).max(from.lo()),
            (hi + slack).min(to.hi()),
            Partial::when(!bracketed),
        )
    }
}

/// Any instruction on any operands.
#[inline(never)]
fn general(code: &Code, plan: &Plan, registers: &[Values], at: usize) -> Values {
    let Instruction { op, a, b, c } = code.instructions[at];
    let integer = plan.integer[code.first + at];
    let x = registers[a as usize];
    let y = || registers[b as usize];
    match op {
        Op::Add => x.add(y(), integer),
        Op::Sub => x.sub(y(), integer),
        Op::Mul => x.mul(y(), integer),
        Op::MulAdd => x.mul(y(), integer).add(registers[c as usize], integer),
        Op::Div => x.div(y()),
        Op::Neg => x.neg(),
        Op::PowInt => x.powi(i32::try_from(b).unwrap_or(i32::MAX), integer),
        Op::Pow => x.pow(y()),
        Op::Sqrt => x.sqrt(),
        Op::Exp => x.exp(),
        Op::Ln => x.ln(),
        Op::Max => x.max(y()),
        Op::Min => x.min(y()),
        Op::Ceil => dividend(code, plan, registers, at).ceil(),
        Op::Floor => dividend(code, plan, registers, at).floor(),
        Op::Le => x.le(y()),
        Op::Lt => x.lt(y()),
        Op::Eq => x.equals(y()),
        Op::And => x.and(y()),
        Op::Or => x.or(y()),
        Op::Not => x.negated(),
        Op::Select => x.select(y(), registers[c as usize]),
        Op::Table => entries(&code.tables[b as usize], x),
        // Written by the loop.
        Op::Index => registers[code.first + at],
        Op::Sum | Op::Root => unreachable!("pieces of their own"),
    }
}

/// What a `ceil` or `floor` rounds. A quotient of integers rounds to the right integer as it
/// is, and one step outward would be a whole step too far.
#[inline]
fn dividend(code: &Code, plan: &Plan, registers: &[Values], at: usize) -> Values {
    let operand = code.instructions[at].a as usize;
    let value = registers[operand];
    if !plan.quotients[at] || !value.partial.is_no() {
        return value;
    }
    let Instruction { a, b, .. } = code.instructions[operand - code.first];
    registers[a as usize].quotient(registers[b as usize])
}

/// The entries of a table that a range of indices covers.
fn entries(table: &[f64], index: Values) -> Values {
    let last = table.len() as f64 - 1.0;
    let inside = 0.0 <= index.lo() && index.hi() <= last && index.partial.is_no();
    let first = index.lo().clamp(0.0, last.max(0.0)) as usize;
    let end = (index.hi().clamp(0.0, last.max(0.0)) as usize + 1).min(table.len());
    let covered = table[first.min(end)..end].iter().copied();
    let lo = covered.clone().fold(f64::INFINITY, f64::min);
    let hi = covered.fold(f64::NEG_INFINITY, f64::max);
    let (lo, hi) = if lo <= hi { (lo, hi) } else { (f64::NEG_INFINITY, f64::INFINITY) };
    Values::new(lo, hi, Partial::when(!inside))
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
