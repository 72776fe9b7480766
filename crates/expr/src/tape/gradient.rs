//! Reverse derivatives: one output by all inputs in one sweep.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Code, Instruction, MAX_TERMS, Op, Piece, eval};
use crate::math;

/// Evaluates a [`Program`](crate::Program) together with its derivatives.
///
/// The derivative is that of the arm which decides; where two arms of a maximum or minimum are
/// equal, that of the first. `ceil`, `floor`, the limits of sums and the indices of
/// tables are steps: their derivative
/// is 0, and [`GradientEvaluator::steps`] tells which inputs it therefore misses. A jump from one
/// piecewise arm to the next has none either.
///
/// ```
/// use sglsim_expr::{Context, Symbol, ceil, max};
/// let cx = Context::new();
/// let (x, n) = (cx.symbol(Symbol::real("x"))?, cx.symbol(Symbol::int("n"))?);
/// let e = max(&x * &x, 1) * ceil(&n / 4);
/// let mut gradient = e.compile(&["x", "n"])?.gradient();
/// let mut by = [0.0; 2];
/// assert_eq!(gradient.eval(&[3.0, 5.0], &mut by), 18.0);
/// assert_eq!(by, [12.0, 0.0]);
/// assert_eq!(gradient.steps(), [false, true]);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone)]
pub struct GradientEvaluator {
    code: Arc<Code>,
    registers: Vec<f64>,
    adjoints: Vec<f64>,
}

/// 2⁻⁴⁰⁰. Starting from this instead of 1, a chain of derivatives whose product is finite does not overflow
/// on its way.
const TINY: f64 = f64::from_bits((1023 - 400) << 52);

impl GradientEvaluator {
    pub(super) fn new(code: Arc<Code>) -> GradientEvaluator {
        GradientEvaluator {
            registers: code.registers.clone(),
            adjoints: vec![0.0; code.registers.len()],
            code,
        }
    }

    /// Value of the first output at `inputs`, and its derivative by every input.
    ///
    /// Nothing is checked: what is not defined comes out as NaN or infinite, as does the slope of a
    /// root at 0.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs and derivatives as the program has inputs, or it has no
    /// output.
    pub fn eval(&mut self, inputs: &[f64], derivatives: &mut [f64]) -> f64 {
        self.eval_output(0, inputs, derivatives)
    }

    /// As [`GradientEvaluator::eval`], of any output.
    ///
    /// # Panics
    ///
    /// As [`GradientEvaluator::eval`], or if there is no such output.
    pub fn eval_output(&mut self, output: usize, inputs: &[f64], derivatives: &mut [f64]) -> f64 {
        let code = &*self.code;
        assert_eq!(inputs.len(), code.inputs.len(), "inputs of the program");
        assert_eq!(derivatives.len(), code.inputs.len(), "derivatives by the program's inputs");
        let output = code.outputs[output] as usize;
        self.registers[..inputs.len()].copy_from_slice(inputs);
        let mut fuel = Some(MAX_TERMS);
        eval::run(code, &code.blocks[0], &mut self.registers, &mut fuel);
        let value = self.registers[output];
        if fuel.is_none() {
            // Never through loops that were refused.
            derivatives.fill(f64::NAN);
            return value;
        }
        self.sweep(output, 1.0);
        derivatives.copy_from_slice(&self.adjoints[..inputs.len()]);
        if value.is_finite() && derivatives.iter().any(|derivative| !derivative.is_finite()) {
            self.sweep(output, TINY);
            for (derivative, adjoint) in derivatives.iter_mut().zip(&self.adjoints) {
                if !derivative.is_finite() {
                    *derivative = adjoint / TINY;
                }
            }
        }
        value
    }

    /// The derivatives of `weight` times a register, from the values of the last run.
    fn sweep(&mut self, output: usize, weight: f64) {
        self.adjoints.fill(0.0);
        self.adjoints[output] = weight;
        let (registers, adjoints) = (&mut self.registers, &mut self.adjoints);
        Sweep { code: &self.code, registers, adjoints }.block(0);
    }

    /// For every input, whether the last evaluated output depends on it through a step, so that
    /// its derivative is not the whole effect. Comparisons are not counted.
    #[must_use]
    pub fn steps(&self) -> Vec<bool> {
        let mut marks = vec![false; self.registers.len()];
        self.mark(0, false, &mut marks);
        marks.truncate(self.code.inputs.len());
        marks
    }

    /// Carries marks from results to operands; in a loop that counts (`live`), every step counts.
    fn mark(&self, block: usize, live: bool, marks: &mut [bool]) {
        let code = &*self.code;
        for piece in code.blocks[block].iter().rev() {
            match piece {
                Piece::Loop(at) => {
                    let Instruction { a, b, c, .. } = code.instructions[*at];
                    let live = live || self.adjoints[code.first + at] != 0.0;
                    if live || marks[code.first + at] {
                        marks[code.loops[c as usize].term as usize] |= marks[code.first + at];
                        self.mark(c as usize + 1, live, marks);
                        // The bounds of a fixed point have no influence on it.
                        if code.instructions[*at].op == Op::Sum {
                            marks[a as usize] = true;
                            marks[b as usize] = true;
                        }
                    }
                }
                Piece::Run(_, range) => {
                    for at in range.clone().rev() {
                        let Instruction { op, a, b, c } = code.instructions[at];
                        let step = matches!(op, Op::Ceil | Op::Floor | Op::Table)
                            && (live || self.adjoints[code.first + at] != 0.0);
                        if !step && !marks[code.first + at] {
                            continue;
                        }
                        let first = || self.registers[a as usize];
                        let second = || self.registers[b as usize];
                        let operands: &[u32] = match op {
                            Op::Select if live => &[b, c],
                            Op::Select if first() != 0.0 => &[b],
                            Op::Select => &[c],
                            Op::Max if !live => {
                                if first() >= second() {
                                    &[a]
                                } else {
                                    &[b]
                                }
                            }
                            Op::Min if !live => {
                                if first() <= second() {
                                    &[a]
                                } else {
                                    &[b]
                                }
                            }
                            _ => &[a, b, c][..op.operands()],
                        };
                        for operand in operands {
                            marks[*operand as usize] = true;
                        }
                    }
                }
            }
        }
    }
}

struct Sweep<'a> {
    code: &'a Code,
    registers: &'a mut [f64],
    adjoints: &'a mut [f64],
}

impl Sweep<'_> {
    fn block(&mut self, block: usize) {
        let code = self.code;
        for piece in code.blocks[block].iter().rev() {
            match piece {
                Piece::Run(op, range) => self.same(*op, range.clone()),
                Piece::Loop(at) if code.instructions[*at].op == Op::Sum => self.repeat(*at),
                Piece::Loop(at) => self.implicit(*at),
            }
        }
    }

    /// Runs the loop again, each round followed by its reverse.
    fn repeat(&mut self, at: usize) {
        let code = self.code;
        let adjoint = self.adjoints[code.first + at];
        if adjoint == 0.0 {
            return;
        }
        let Instruction { a, b, c, .. } = code.instructions[at];
        let body = code.body(at);
        let (lo, hi) = (self.registers[a as usize], self.registers[b as usize]);
        let trips = math::max(hi - lo + 1.0, 0.0) as u64;
        let results = code.first + body.start..code.first + body.end;
        for step in 0..trips {
            self.registers[results.start] = lo + step as f64;
            // The value was within the limit, so this is too.
            eval::run(code, &code.blocks[c as usize + 1], self.registers, &mut Some(u64::MAX));
            self.adjoints[results.clone()].fill(0.0);
            self.adjoints[code.loops[c as usize].term as usize] += adjoint;
            self.block(c as usize + 1);
        }
    }

    /// The implicit function theorem: of `x = f(x, p)` the derivative by `p` is `∂f/∂p / (1 − ∂f/∂x)`.
    fn implicit(&mut self, at: usize) {
        let code = self.code;
        let adjoint = self.adjoints[code.first + at];
        if adjoint == 0.0 {
            return;
        }
        let number = code.instructions[at].c as usize;
        let body = code.body(at);
        let results = code.first + body.start..code.first + body.end;
        let term = code.loops[number].term as usize;
        self.registers[results.start] = self.registers[code.first + at];
        eval::run(code, &code.blocks[number + 1], self.registers, &mut Some(u64::MAX));
        // The first sweep is for the slope alone.
        let before = self.adjoints.to_vec();
        let sweep = |tape: &mut Self, weight: f64| {
            tape.adjoints[results.clone()].fill(0.0);
            tape.adjoints[term] += weight;
            tape.block(number + 1);
            tape.adjoints[results.start]
        };
        let slope = sweep(self, 1.0);
        self.adjoints.copy_from_slice(&before);
        sweep(self, adjoint / (1.0 - slope));
    }

    /// Instructions of the same operation, the last one first.
    fn same(&mut self, op: Op, range: Range<usize>) {
        let first = self.code.first + range.start;
        let instructions = &self.code.instructions[range];
        let (registers, adjoints) = (&*self.registers, &mut *self.adjoints);
        // What has no influence stays out, even where its own derivative is infinite.
        macro_rules! each {
            (|$a:ident, $b:ident, $c:ident, $result:ident, $adjoint:ident| $body:expr) => {
                for (at, instruction) in instructions.iter().enumerate().rev() {
                    let $result = first + at;
                    let $adjoint = adjoints[$result];
                    if $adjoint != 0.0 {
                        let Instruction { a: $a, b: $b, c: $c, .. } = *instruction;
                        let ($a, $b, $c) = ($a as usize, $b as usize, $c as usize);
                        $body
                    }
                }
            };
            (|$a:ident, $b:ident, $result:ident, $adjoint:ident| $body:expr) => {
                each!(|$a, $b, _c, $result, $adjoint| $body)
            };
        }
        match op {
            Op::Add => each!(|a, b, _value, adjoint| {
                adjoints[a] += adjoint;
                adjoints[b] += adjoint;
            }),
            Op::Sub => each!(|a, b, _value, adjoint| {
                adjoints[a] += adjoint;
                adjoints[b] -= adjoint;
            }),
            Op::Mul => each!(|a, b, _value, adjoint| {
                adjoints[a] += adjoint * registers[b];
                adjoints[b] += adjoint * registers[a];
            }),
            Op::MulAdd => each!(|a, b, c, _value, adjoint| {
                adjoints[a] += adjoint * registers[b];
                adjoints[b] += adjoint * registers[a];
                adjoints[c] += adjoint;
            }),
            Op::Div => each!(|a, b, value, adjoint| {
                let share = adjoint / registers[b];
                adjoints[a] += share;
                adjoints[b] -= share * registers[value];
            }),
            Op::Neg => each!(|a, _b, _value, adjoint| adjoints[a] -= adjoint),
            Op::PowInt => each!(|a, b, _value, adjoint| {
                let exponent = i32::try_from(b).unwrap_or(i32::MAX);
                let slope = f64::from(exponent) * math::powi(registers[a], exponent - 1);
                adjoints[a] += adjoint * slope;
            }),
            Op::Pow => each!(|a, b, value, adjoint| {
                let (x, y, value) = (registers[a], registers[b], registers[value]);
                let slope = if x == 0.0 { y * math::pow(x, y - 1.0) } else { y * value / x };
                adjoints[a] += adjoint * slope;
                // 0 ^ y is 0 for every y > 0.
                let growth = if value == 0.0 { 0.0 } else { value * x.ln() };
                adjoints[b] += adjoint * growth;
            }),
            Op::Sqrt => each!(|a, _b, value, adjoint| {
                adjoints[a] += adjoint / (2.0 * registers[value]);
            }),
            Op::Exp => each!(|a, _b, value, adjoint| adjoints[a] += adjoint * registers[value]),
            Op::Ln => each!(|a, _b, _value, adjoint| adjoints[a] += adjoint / registers[a]),
            Op::Max => each!(|a, b, _value, adjoint| {
                adjoints[if registers[a] >= registers[b] { a } else { b }] += adjoint;
            }),
            Op::Min => each!(|a, b, _value, adjoint| {
                adjoints[if registers[a] <= registers[b] { a } else { b }] += adjoint;
            }),
            Op::Select => each!(|a, b, c, _value, adjoint| {
                adjoints[if registers[a] != 0.0 { b } else { c }] += adjoint;
            }),
            // Steps, truth values, and the index of a loop.
            Op::Ceil
            | Op::Floor
            | Op::Le
            | Op::Lt
            | Op::Eq
            | Op::And
            | Op::Or
            | Op::Not
            | Op::Table
            | Op::Index => {}
            Op::Sum | Op::Root => unreachable!("pieces of their own"),
        }
    }
}

impl fmt::Debug for GradientEvaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GradientEvaluator").field("code", &self.code).finish_non_exhaustive()
    }
}
