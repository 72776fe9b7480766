//! Running a program.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Code, Instruction, MAX_TERMS, Op, Piece};
use crate::{ExprError, math};

/// Runs a [`Program`](crate::Program); holds its registers, so that evaluating allocates nothing.
#[derive(Clone)]
pub struct Evaluator {
    code: Arc<Code>,
    registers: Vec<f64>,
    /// Terms that sums may still run over; `None` once they asked for more.
    fuel: Option<u64>,
}

impl Evaluator {
    pub(super) fn new(code: Arc<Code>) -> Evaluator {
        let registers = code.registers.clone();
        Evaluator { code, registers, fuel: Some(MAX_TERMS) }
    }

    /// Evaluates at `inputs`, in the order the program was compiled with.
    ///
    /// Inputs are not checked against the symbols' domains. A value that is not defined comes out
    /// as NaN or infinite, a sum of more than 2²⁶ terms as NaN, a choice without a feasible kernel
    /// as infinite.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs or outputs as the program has.
    pub fn eval(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        assert_eq!(outputs.len(), self.code.outputs.len(), "outputs of the program");
        self.run(inputs);
        for (value, register) in outputs.iter_mut().zip(&self.code.outputs) {
            *value = self.registers[*register as usize];
        }
    }

    /// Evaluates a program at `inputs` and returns its first output, as [`Evaluator::eval`] does.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs as the program has, or it has no output.
    pub fn eval1(&mut self, inputs: &[f64]) -> f64 {
        self.run(inputs);
        self.registers[self.code.outputs[0] as usize]
    }

    /// As [`Evaluator::eval1`], with the reason if the value is not a finite number, or if it rests
    /// on a choice without a feasible kernel or an assumption that does not hold.
    ///
    /// # Errors
    ///
    /// [`ExprError::Undefined`], [`ExprError::Infeasible`], [`ExprError::Assumption`],
    /// [`ExprError::NotBracketed`] or [`ExprError::TooManyTerms`].
    ///
    /// # Panics
    ///
    /// As [`Evaluator::eval1`].
    pub fn evaluate(&mut self, inputs: &[f64]) -> Result<f64, ExprError> {
        let value = self.eval1(inputs);
        if self.fuel.is_none() {
            return Err(ExprError::TooManyTerms { limit: MAX_TERMS });
        }
        if let Some(broken) = self.code.broken(&self.registers) {
            return Err(broken);
        }
        if value.is_finite() {
            return Ok(value);
        }
        Err(self.code.diagnose(&self.registers, self.code.outputs[0]))
    }

    fn run(&mut self, inputs: &[f64]) {
        let code = &*self.code;
        assert_eq!(inputs.len(), code.inputs.len(), "inputs of the program");
        self.registers[..inputs.len()].copy_from_slice(inputs);
        self.fuel = Some(MAX_TERMS);
        run(code, &code.blocks[0], &mut self.registers, &mut self.fuel);
    }
}

/// Runs the pieces of a block.
pub(super) fn run(code: &Code, pieces: &[Piece], registers: &mut [f64], fuel: &mut Option<u64>) {
    for piece in pieces {
        match piece {
            Piece::Run(op, range) => same(code, *op, range.clone(), registers),
            Piece::Loop(at) => {
                let value = match code.instructions[*at].op {
                    Op::Sum => run_sum(code, *at, registers, fuel),
                    _ => run_search(code, *at, registers, fuel),
                };
                registers[code.first + at] = value;
            }
        }
    }
}

/// Runs instructions of the same operation.
fn same(code: &Code, op: Op, range: Range<usize>, registers: &mut [f64]) {
    let first = code.first + range.start;
    let instructions = &code.instructions[range];
    macro_rules! each {
        (|$x:ident| $value:expr) => {
            each!(|$x, _instruction, _registers| $value)
        };
        (|$x:ident, $y:ident| $value:expr) => {
            each!(|$x, instruction, registers| {
                let $y = registers[instruction.b as usize];
                $value
            })
        };
        (|$x:ident, $instruction:ident, $registers:ident| $value:expr) => {
            for (result, $instruction) in (first..).zip(instructions) {
                let $registers = &*registers;
                let $x = $registers[$instruction.a as usize];
                registers[result] = $value;
            }
        };
    }
    let truth = |holds: bool| f64::from(u8::from(holds));
    match op {
        Op::Add => each!(|x, y| x + y),
        Op::Sub => each!(|x, y| x - y),
        Op::Mul | Op::And => each!(|x, y| x * y),
        Op::MulAdd => {
            each!(|x, i, registers| x * registers[i.b as usize] + registers[i.c as usize])
        }
        Op::Div => each!(|x, y| x / y),
        Op::Neg => each!(|x| -x),
        Op::PowInt => {
            each!(|x, i, _registers| math::powi(x, i32::try_from(i.b).unwrap_or(i32::MAX)))
        }
        Op::Pow => each!(|x, y| math::pow(x, y)),
        Op::Sqrt => each!(|x| x.sqrt()),
        Op::Exp => each!(|x| x.exp()),
        Op::Ln => each!(|x| x.ln()),
        Op::Max | Op::Or => each!(|x, y| math::max(x, y)),
        Op::Min => each!(|x, y| math::min(x, y)),
        Op::Ceil => each!(|x| x.ceil()),
        Op::Floor => each!(|x| x.floor()),
        Op::Le => each!(|x, y| truth(x <= y)),
        Op::Lt => each!(|x, y| truth(x < y)),
        Op::Eq => each!(|x, y| truth(x == y)),
        Op::Not => each!(|x| 1.0 - x),
        Op::Select => {
            each!(|x, i, registers| registers[if x != 0.0 { i.b } else { i.c } as usize])
        }
        Op::Table => each!(|x, i, _registers| code.entry(i.b, x)),
        Op::Sum | Op::Root | Op::Index => unreachable!("no runs"),
    }
}

fn run_sum(code: &Code, at: usize, registers: &mut [f64], fuel: &mut Option<u64>) -> f64 {
    let Instruction { a, b, c, .. } = code.instructions[at];
    let (lo, hi) = (registers[a as usize], registers[b as usize]);
    let trips = hi - lo + 1.0;
    if trips <= 0.0 {
        return 0.0;
    }
    // Float to integer saturates, so an absurd number of terms is refused here too.
    let trips = if trips.is_nan() { return f64::NAN } else { trips as u64 };
    *fuel = fuel.and_then(|left| left.checked_sub(trips));
    if fuel.is_none() {
        return f64::NAN;
    }
    let term = code.loops[c as usize].term as usize;
    let mut sum = 0.0;
    for step in 0..trips {
        registers[code.first + at + 1] = lo + step as f64;
        run(code, &code.blocks[c as usize + 1], registers, fuel);
        sum += registers[term];
    }
    sum
}

pub(super) fn run_search(
    code: &Code,
    at: usize,
    registers: &mut [f64],
    fuel: &mut Option<u64>,
) -> f64 {
    let Instruction { a, b, c, .. } = code.instructions[at];
    let (lo, hi) = (registers[a as usize], registers[b as usize]);
    let term = code.loops[c as usize].term as usize;
    let mut residual = |x: f64| {
        registers[code.first + at + 1] = x;
        run(code, &code.blocks[c as usize + 1], registers, fuel);
        x - registers[term]
    };
    let root = math::crossing(lo, hi, &mut residual);
    if !root.is_nan() {
        // Leaves the body as it is at the root.
        residual(root);
    }
    root
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator").field("code", &self.code).finish_non_exhaustive()
    }
}
