//! Running a program at points that differ in a few inputs from the point before.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Code, MAX_TERMS, Piece, eval};

/// Runs a [`Program`](crate::Program) and remembers its values: at the next point only what depends
/// on an input that changed is computed.
///
/// The values are those of [`Evaluator::eval`](crate::Evaluator::eval) to the last bit, at any
/// sequence of points. Clones share the code.
///
/// ```
/// use sglsim_expr::{Context, Symbol, exp};
/// let cx = Context::new();
/// let (x, y) = (cx.symbol(Symbol::real("x"))?, cx.symbol(Symbol::real("y"))?);
/// let mut evaluator = (exp(&x) + &y).compile(&["x", "y"])?.incremental();
/// assert_eq!(evaluator.eval1(&[1.0, 2.0]), 1f64.exp() + 2.0);
/// assert_eq!(evaluator.eval1(&[1.0, 3.0]), 1f64.exp() + 3.0); // one addition
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone)]
pub struct IncrementalEvaluator {
    plan: Arc<Plan>,
    registers: Vec<f64>,
    /// Whether the registers hold the values at the inputs that they hold.
    ran: bool,
}

/// A program in the order of what its values depend on.
struct Plan {
    code: Code,
    segments: Vec<Segment>,
}

/// What depends on the same inputs.
struct Segment {
    inputs: Inputs,
    pieces: Vec<Piece>,
}

/// A set of inputs, one bit each; the last bit is that of all further inputs together.
type Inputs = u64;

/// The bit of an input.
fn bit(input: usize) -> Inputs {
    1 << input.min(63)
}

impl Plan {
    /// What depends on less comes first, so operands come before their users.
    fn of(code: &Code) -> Plan {
        let mut segments: BTreeMap<(u32, Inputs), Vec<Range<usize>>> = BTreeMap::new();
        for (inputs, unit) in dependences(code) {
            segments.entry((inputs.count_ones(), inputs)).or_default().push(unit);
        }
        let mut order = Vec::with_capacity(code.instructions.len());
        let mut ranges = Vec::with_capacity(segments.len());
        for ((_, inputs), units) in segments {
            let start = order.len();
            code.group(&units, &mut order);
            ranges.push((inputs, start..order.len()));
        }
        let code = code.reordered(&order);
        let segment = |(inputs, range)| Segment { inputs, pieces: code.pieces(range) };
        Plan { segments: ranges.into_iter().map(segment).collect(), code }
    }
}

/// The inputs that each unit of a program depends on. Loops all depend on the same, so that they
/// run together or not at all: they share a limit of terms.
fn dependences(code: &Code) -> Vec<(Inputs, Range<usize>)> {
    let units = code.units(0..code.instructions.len());
    let mut of_loops: Inputs = 0;
    loop {
        let mut registers: Vec<Inputs> = vec![0; code.registers.len()];
        (0..code.inputs.len()).for_each(|input| registers[input] = bit(input));
        let mut found = Vec::with_capacity(units.len());
        let mut of_any_loop = of_loops;
        for unit in &units {
            let is_loop = code.instructions[unit.start].op.is_loop();
            let operands = unit.clone().flat_map(|at| code.operands(at));
            let start = if is_loop { of_loops } else { 0 };
            let inputs = operands.fold(start, |set, operand| set | registers[operand as usize]);
            registers[code.first + unit.start..code.first + unit.end].fill(inputs);
            if is_loop {
                of_any_loop |= inputs;
            }
            found.push((inputs, unit.clone()));
        }
        if of_any_loop == of_loops {
            return found;
        }
        of_loops = of_any_loop;
    }
}

impl IncrementalEvaluator {
    pub(super) fn new(code: &Code) -> IncrementalEvaluator {
        let plan = Plan::of(code);
        let registers = plan.code.registers.clone();
        IncrementalEvaluator { plan: Arc::new(plan), registers, ran: false }
    }

    /// Evaluates at `inputs`, as [`Evaluator::eval`](crate::Evaluator::eval) does.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs or outputs as the program has.
    pub fn eval(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        assert_eq!(outputs.len(), self.plan.code.outputs.len(), "outputs of the program");
        self.run(inputs);
        for (value, register) in outputs.iter_mut().zip(&self.plan.code.outputs) {
            *value = self.registers[*register as usize];
        }
    }

    /// Evaluates at `inputs` and returns the first output, as
    /// [`Evaluator::eval1`](crate::Evaluator::eval1) does.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs as the program has, or it has no output.
    pub fn eval1(&mut self, inputs: &[f64]) -> f64 {
        self.run(inputs);
        self.registers[self.plan.code.outputs[0] as usize]
    }

    fn run(&mut self, inputs: &[f64]) {
        let Plan { code, segments } = &*self.plan;
        assert_eq!(inputs.len(), code.inputs.len(), "inputs of the program");
        let mut changed: Inputs = if self.ran { 0 } else { Inputs::MAX };
        for (at, (register, input)) in self.registers.iter_mut().zip(inputs).enumerate() {
            if register.to_bits() != input.to_bits() {
                *register = *input;
                changed |= bit(at);
            }
        }
        let mut fuel = Some(MAX_TERMS);
        for Segment { inputs, pieces } in segments {
            if inputs & changed != 0 || !self.ran {
                eval::run(code, pieces, &mut self.registers, &mut fuel);
            }
        }
        self.ran = true;
    }
}

impl fmt::Debug for IncrementalEvaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncrementalEvaluator")
            .field("code", &self.plan.code)
            .finish_non_exhaustive()
    }
}
