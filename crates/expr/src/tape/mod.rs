//! Compiled expressions: a straight list of instructions over numbered registers.

mod batch;
mod bound;
mod checks;
mod compile;
mod contract;
mod eval;
mod gradient;
mod incremental;
mod interval;
mod order;
pub(crate) mod source;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use sglsim_units::HashMap;

use crate::{Expr, ExprError};

pub use batch::BatchEvaluator;
pub use bound::IntervalEvaluator;
pub use eval::Evaluator;
pub use gradient::GradientEvaluator;
pub use incremental::IncrementalEvaluator;
pub use interval::Interval;

/// Terms that the sums of one evaluation may run over, all together.
const MAX_TERMS: u64 = 1 << 26;

/// Sums inside sums that can be compiled.
const MAX_NESTING: usize = 64;

/// What an instruction does to its operands `a`, `b`, `c`. Truth values are 1 and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    /// `a · b + c`, rounded twice.
    MulAdd,
    Div,
    Neg,
    /// `a` to the integer power `b`, which is the exponent itself and not a register.
    PowInt,
    Pow,
    Sqrt,
    Exp,
    Ln,
    Max,
    Min,
    Ceil,
    Floor,
    Le,
    Lt,
    Eq,
    And,
    Or,
    Not,
    /// `a ? b : c`.
    Select,
    /// A loop from `a` to `b`; `c` is its number. Its body follows.
    Sum,
    /// First instruction of a loop body: the running index, written by the loop.
    Index,
    /// The fixed point between `a` and `b` of loop `c`. Its body follows.
    Root,
    /// Entry `a` of table `b`, which is its number and not a register.
    Table,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Sub | Op::Neg => "-",
            Op::Mul => "*",
            Op::MulAdd => "multiply-add",
            Op::Div => "/",
            Op::PowInt | Op::Pow => "^",
            Op::Sqrt => "sqrt",
            Op::Exp => "exp",
            Op::Ln => "ln",
            Op::Max => "max",
            Op::Min => "min",
            Op::Ceil => "ceil",
            Op::Floor => "floor",
            Op::Le => "<=",
            Op::Lt => "<",
            Op::Eq => "==",
            Op::And => "and",
            Op::Or => "or",
            Op::Not => "not",
            Op::Select => "piecewise",
            Op::Sum => "sum",
            Op::Index => "index",
            Op::Root => "fixed point",
            Op::Table => "table",
        }
    }

    /// Whether the instructions after it are its body.
    fn is_loop(self) -> bool {
        matches!(self, Op::Sum | Op::Root)
    }

    /// How many of `a`, `b`, `c` are registers.
    fn operands(self) -> usize {
        match self {
            Op::Index => 0,
            Op::Table
            | Op::Neg
            | Op::PowInt
            | Op::Sqrt
            | Op::Exp
            | Op::Ln
            | Op::Ceil
            | Op::Floor
            | Op::Not => 1,
            Op::MulAdd | Op::Select => 3,
            _ => 2,
        }
    }
}

/// One instruction. Its result goes to the register of its own position.
#[derive(Clone, Copy, Debug)]
struct Instruction {
    op: Op,
    a: u32,
    b: u32,
    c: u32,
}

/// A loop: the instructions after its `Sum`, and the register of the term.
#[derive(Clone, Copy, Debug)]
struct Loop {
    length: u32,
    term: u32,
}

/// What must hold of a value for the result to mean anything.
#[derive(Clone, Debug)]
enum Check {
    /// One of these choices was feasible: the value is not infinite.
    Feasible(Vec<String>),
    /// The value is in a range, and an integer if so said; the operand is for the message.
    Assumed { operand: String, lo: f64, hi: f64, integer: bool },
    /// Bounds of this unknown were such that there is a fixed point.
    Bracketed(String),
}

/// A part of a block.
#[derive(Clone, Debug)]
enum Piece {
    /// Instructions of the same operation, none of them a loop.
    Run(Op, Range<usize>),
    /// A loop, by the position of its `Sum` or `Root`.
    Loop(usize),
}

#[derive(Debug)]
struct Code {
    instructions: Vec<Instruction>,
    /// The program's own instructions, then the body of each loop, in pieces.
    blocks: Vec<Vec<Piece>>,
    loops: Vec<Loop>,
    tables: Vec<Arc<[f64]>>,
    /// What checked evaluation looks at where it used a register.
    checks: HashMap<u32, Check>,
    /// Initial registers: inputs, constants, one per instruction.
    registers: Vec<f64>,
    /// Register of the first instruction.
    first: usize,
    inputs: Vec<String>,
    /// Which inputs are integers.
    integers: Vec<bool>,
    outputs: Vec<u32>,
}

/// A compiled function from input values to output values. Cheap to clone, shared by threads.
///
/// ```
/// use sglsim_expr::{Context, Program, Symbol};
/// let cx = Context::new();
/// let (x, y) = (cx.symbol(Symbol::real("x"))?, cx.symbol(Symbol::real("y"))?);
/// let program = Program::compile(&[&(&x + &y), &(&x * &y)], &["x", "y"])?;
/// let mut evaluator = program.evaluator();
/// let mut out = [0.0; 2];
/// evaluator.eval(&[3.0, 4.0], &mut out);
/// assert_eq!(out, [7.0, 12.0]);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone)]
pub struct Program {
    /// In the order in which it is written out.
    source: Arc<Code>,
    /// In the order in which it runs.
    code: Arc<Code>,
}

impl Program {
    /// Compiles several expressions of one context into one program; they share common parts.
    /// Inputs that do not occur are allowed and have no influence.
    ///
    /// # Errors
    ///
    /// [`ExprError::Unbound`] if an output depends on a symbol that is not an input,
    /// [`ExprError::FreeIndex`] if one uses a sum index outside its sum,
    /// [`ExprError::NestedSums`], or what makes an output invalid.
    pub fn compile(outputs: &[&Expr], inputs: &[&str]) -> Result<Program, ExprError> {
        let Some(first) = outputs.first() else {
            return Ok(Program::of(compile::empty(inputs)));
        };
        let ids = first.cx.adopt(outputs);
        let code = compile::compile(&first.cx.lock(), &ids, inputs)?;
        Ok(Program::of(code))
    }

    fn of(source: Code) -> Program {
        Program { code: Arc::new(source.grouped()), source: Arc::new(source) }
    }

    /// An evaluator with registers of its own.
    #[must_use]
    pub fn evaluator(&self) -> Evaluator {
        Evaluator::new(Arc::clone(&self.code))
    }

    /// An evaluator of points that differ in few inputs from the point before.
    #[must_use]
    pub fn incremental(&self) -> IncrementalEvaluator {
        IncrementalEvaluator::new(&self.code)
    }

    /// An evaluator of many points at once.
    #[must_use]
    pub fn batch(&self) -> BatchEvaluator {
        BatchEvaluator::new(Arc::clone(&self.code))
    }

    /// An evaluator of an output and its derivatives.
    #[must_use]
    pub fn gradient(&self) -> GradientEvaluator {
        GradientEvaluator::new(Arc::clone(&self.code))
    }

    /// An evaluator of boxes.
    #[must_use]
    pub fn intervals(&self) -> IntervalEvaluator {
        IntervalEvaluator::new(Arc::clone(&self.code))
    }

    /// Names of the inputs, in order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &str> {
        self.code.inputs.iter().map(String::as_str)
    }

    /// How many outputs there are.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.code.outputs.len()
    }

    /// How many instructions there are, loop bodies counted once.
    #[must_use]
    pub fn instructions(&self) -> usize {
        self.code.instructions.len()
    }
}

impl Program {
    /// Estimated cost of one evaluation, in additions; a loop, and the search for a fixed point,
    /// counts as 50 rounds of its body.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.code.cost(0..self.code.instructions.len())
    }
}

impl Code {
    fn cost(&self, range: Range<usize>) -> f64 {
        let mut total = 0.0;
        let mut at = range.start;
        while at < range.end {
            let instruction = self.instructions[at];
            at += 1;
            total += match instruction.op {
                Op::Div => 3.0,
                Op::Sqrt => 4.0,
                Op::Pow | Op::Exp | Op::Ln => 12.0,
                Op::PowInt => 2.0,
                Op::Ceil | Op::Floor => 1.5,
                Op::Sum | Op::Root => {
                    let body = at..at + self.loops[instruction.c as usize].length as usize;
                    at = body.end;
                    30.0 + 50.0 * self.cost(body)
                }
                _ => 1.0,
            };
        }
        total
    }
}

impl Code {
    /// The blocks of the instructions.
    fn split(&self) -> Vec<Vec<Piece>> {
        let mut ranges = vec![0..0; self.loops.len() + 1];
        ranges[0] = 0..self.instructions.len();
        for (at, instruction) in self.instructions.iter().enumerate() {
            if instruction.op.is_loop() {
                ranges[instruction.c as usize + 1] = self.body(at);
            }
        }
        ranges.into_iter().map(|range| self.pieces(range)).collect()
    }

    /// The instructions that the sum or fixed point at `at` repeats.
    fn body(&self, at: usize) -> Range<usize> {
        let number = self.instructions[at].c as usize;
        at + 1..at + 1 + self.loops[number].length as usize
    }

    /// Entry `index` of a table; NaN if it has none.
    fn entry(&self, table: u32, index: f64) -> f64 {
        // Float to integer saturates; what was not an index is not one after it.
        let entry = self.tables[table as usize].get(index as usize).copied();
        entry.filter(|_| index >= 0.0 && index.fract() == 0.0).unwrap_or(f64::NAN)
    }

    fn pieces(&self, range: Range<usize>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for unit in self.units(range) {
            let op = self.instructions[unit.start].op;
            match pieces.last_mut() {
                _ if op.is_loop() => pieces.push(Piece::Loop(unit.start)),
                // Written by the loop.
                _ if op == Op::Index => {}
                Some(Piece::Run(same, run)) if *same == op => run.end = unit.end,
                _ => pieces.push(Piece::Run(op, unit)),
            }
        }
        pieces
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("inputs", &self.code.inputs)
            .field("outputs", &self.outputs())
            .field("instructions", &self.instructions())
            .finish()
    }
}
