//! Shrinking a box to what can reach a target: the backward half of HC4.
//!
//! Every operation is inverted on ranges that were widened first by what the operation itself may
//! have rounded, so that no point is lost to rounding. What may be undefined is left alone unless
//! its own value is asked for: a maximum or a comparison can make something of an undefined operand.

mod loops;

use super::bound::{MAX_TERMS, Plan};
use super::interval::{FALSE, Interval, Partial, TRUE, Values, down, slack_down, slack_up, up};
use super::{Code, Instruction, IntervalEvaluator, Op, Piece};
use crate::math;

impl IntervalEvaluator {
    /// Shrinks the box `inputs` to a smaller one that still holds every point at which all outputs
    /// are finite and inside their `targets`; false if there is no such point. Truth values are 0
    /// and 1. [`Interval::ALL`] asks nothing of an output.
    ///
    /// One pass down and one up; calling it again may shrink the box further. Ranges of integer
    /// inputs shrink to integers.
    ///
    /// ```
    /// use sglsim_expr::{Context, Interval, Program, Symbol};
    /// let cx = Context::new();
    /// let workers = cx.symbol(Symbol::int("workers").at_least(1.0))?;
    /// let tp = cx.symbol(Symbol::int("tp").at_least(1.0))?;
    /// let fits = (&workers * &tp).le(64);
    /// let mut bounds = Program::compile(&[&fits], &["workers", "tp"])?.intervals();
    /// let mut box_ = [Interval::new(1.0, 512.0), Interval::new(3.0, 16.0)];
    /// assert!(bounds.contract(&mut box_, &[Interval::point(1.0)]));
    /// assert_eq!(box_, [Interval::new(1.0, 21.0), Interval::new(3.0, 16.0)]);
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If there are not as many inputs or targets as the program has inputs and outputs.
    pub fn contract(&mut self, inputs: &mut [Interval], targets: &[Interval]) -> bool {
        assert_eq!(targets.len(), self.code.outputs.len(), "outputs of the program");
        self.forward(inputs);
        let (code, registers) = (&self.code, &mut self.registers);
        let required = vec![false; registers.len()];
        let mut backward =
            Backward { code, plan: &self.plan, registers, required, fuel: MAX_TERMS };
        for (register, target) in code.outputs.iter().zip(targets) {
            if *target != Interval::ALL && !backward.require(*register, target.lo, target.hi) {
                return false;
            }
        }
        if backward.sweep(0).is_none() {
            return false;
        }
        for (register, interval) in inputs.iter_mut().enumerate() {
            *interval = self.registers[register].interval();
        }
        true
    }
}

struct Backward<'a> {
    code: &'a Code,
    plan: &'a Plan,
    registers: &'a mut [Values],
    /// Registers that are defined at every point that is looked for.
    required: Vec<bool>,
    /// Rounds of loops that may still be inverted.
    fuel: u64,
}

/// `None`: there is no such point.
type Narrowed = Option<()>;

impl Backward<'_> {
    fn at(&self, register: u32) -> Values {
        self.registers[register as usize]
    }

    /// A register is defined and inside a range.
    fn require(&mut self, register: u32, lo: f64, hi: f64) -> bool {
        self.required[register as usize] = true;
        self.narrow(register, lo, hi)
    }

    /// A register is inside a range wherever it is defined; false if that cannot be.
    fn narrow(&mut self, register: u32, lo: f64, hi: f64) -> bool {
        let register = register as usize;
        let value = self.registers[register];
        // NaN is no bound.
        let (mut low, mut high) = (math::max(lo, value.lo()), math::min(hi, value.hi()));
        if self.plan.integer[register] {
            (low, high) = (math::ceil(low), math::floor(high));
        }
        if low > high && !value.partial.is_no() && !self.required[register] {
            // It is not defined at any point that is looked for.
            return true;
        }
        let constant = self.code.inputs.len()..self.code.first;
        if !constant.contains(&register) {
            self.registers[register] = Values::new(low, high, value.partial);
        }
        low <= high
    }

    fn sweep(&mut self, block: usize) -> Narrowed {
        let code = self.code;
        for piece in code.blocks[block].iter().rev() {
            match piece {
                Piece::Loop(at) => self.repeat(*at)?,
                Piece::Run(_, range) => {
                    for at in range.clone().rev() {
                        let instruction = code.instructions[at];
                        let result = self.registers[code.first + at];
                        let required = self.required[code.first + at];
                        self.invert(instruction, result, required)?;
                    }
                }
            }
        }
        Some(())
    }

    fn invert(&mut self, instruction: Instruction, result: Values, required: bool) -> Narrowed {
        let Instruction { op, a, b, c } = instruction;
        let operands = [a, b, c];
        let operands = &operands[..op.operands()];
        let all =
            |is: fn(Partial) -> bool| operands.iter().all(|operand| is(self.at(*operand).partial));
        let strict = matches!(
            op,
            Op::Add
                | Op::Sub
                | Op::Mul
                | Op::MulAdd
                | Op::Neg
                | Op::Sqrt
                | Op::Ln
                | Op::Ceil
                | Op::Floor
                | Op::Table
        );
        // Defined operands may still make an undefined result: then it must be asked for.
        let invertible = match op {
            Op::Select => true,
            Op::Min => all(Partial::is_ordered),
            _ => strict || all(Partial::is_no),
        };
        if !(required || result.partial.is_no()) || !invertible {
            return Some(());
        }
        if strict && required {
            operands.iter().for_each(|operand| self.required[*operand as usize] = true);
        }
        let out = rounded(result);
        let holds = |narrowed: bool| narrowed.then_some(());
        match op {
            Op::Add => {
                let (x, y) = (self.at(a), self.at(b));
                self.difference(a, out, y)?;
                self.difference(b, out, x)
            }
            Op::Sub => {
                let (x, y) = (self.at(a), self.at(b));
                holds(self.narrow(a, down(out.lo() + y.lo()), up(out.hi() + y.hi())))?;
                self.difference(b, x, out)
            }
            Op::Mul => self.factors(a, b, out),
            Op::MulAdd => {
                let product = rounded(self.at(a).mul(self.at(b), false));
                self.difference(c, out, product)?;
                let z = self.at(c);
                let lo = math::max(down(out.lo() - z.hi()), product.lo());
                let hi = math::min(up(out.hi() - z.lo()), product.hi());
                holds(lo <= hi)?;
                self.factors(a, b, rounded(Values::new(lo, hi, Partial::NO)))
            }
            Op::Div => {
                let (x, y) = (self.at(a), self.at(b));
                let dividend = out.mul(y, false);
                holds(self.narrow(a, dividend.lo(), dividend.hi()))?;
                self.divided(b, x, out)
            }
            Op::Neg => holds(self.narrow(a, -result.hi(), -result.lo())),
            Op::PowInt => {
                let exponent = 1.0 / f64::from(b);
                if self.at(a).lo() < 0.0 || b == 0 {
                    return Some(());
                }
                let root = |x: f64| math::pow(math::max(x, 0.0), exponent);
                let (lo, hi) = (root(slack_down(result.lo())), root(slack_up(result.hi())));
                holds(self.narrow(a, slack_down(lo), slack_up(hi)))
            }
            Op::Pow => {
                let base = self.at(a);
                let log = base.lo().ln();
                if base.lo() != base.hi() || !log.is_finite() || log == 0.0 {
                    return Some(());
                }
                let logs = [slack_down(result.lo()), slack_up(result.hi())]
                    .map(|x| math::max(x, 0.0).ln() / log);
                let (lo, hi) = if log > 0.0 { (logs[0], logs[1]) } else { (logs[1], logs[0]) };
                holds(self.narrow(b, slack_down(lo), slack_up(hi)))
            }
            Op::Sqrt => {
                let square = |x: f64| math::max(x, 0.0) * math::max(x, 0.0);
                holds(self.narrow(a, down(square(out.lo())), up(square(out.hi()))))
            }
            Op::Exp => {
                let log = |x: f64| math::max(x, 0.0).ln();
                let (lo, hi) = (log(slack_down(result.lo())), log(slack_up(result.hi())));
                holds(self.narrow(a, slack_down(lo), slack_up(hi)))
            }
            Op::Ln => {
                let (lo, hi) = (slack_down(result.lo()).exp(), slack_up(result.hi()).exp());
                holds(self.narrow(a, slack_down(lo), slack_up(hi)))
            }
            Op::Max => {
                let (x, y) = (self.at(a), self.at(b));
                holds(self.narrow(a, f64::NEG_INFINITY, result.hi()))?;
                holds(self.narrow(b, f64::NEG_INFINITY, result.hi()))?;
                let reaches = |arm: Values| arm.hi() >= result.lo();
                holds(reaches(x) || self.narrow(b, result.lo(), f64::INFINITY))?;
                holds(reaches(y) || self.narrow(a, result.lo(), f64::INFINITY))
            }
            // A value of its own, to be checked.
            Op::Min if a == b => {
                self.required[a as usize] |= required;
                holds(self.narrow(a, result.lo(), result.hi()))
            }
            Op::Min => {
                let (x, y) = (self.at(a), self.at(b));
                holds(self.narrow(a, result.lo(), f64::INFINITY))?;
                holds(self.narrow(b, result.lo(), f64::INFINITY))?;
                let reaches = |arm: Values| arm.lo() <= result.hi();
                holds(reaches(x) || self.narrow(b, f64::NEG_INFINITY, result.hi()))?;
                holds(reaches(y) || self.narrow(a, f64::NEG_INFINITY, result.hi()))
            }
            Op::Ceil => holds(self.narrow(a, down(result.lo() - 1.0), result.hi())),
            Op::Floor => holds(self.narrow(a, result.lo(), up(result.hi() + 1.0))),
            Op::Le | Op::Lt => {
                let strictly = op == Op::Lt;
                match truth(result) {
                    Some(true) => self.order(a, b, strictly),
                    Some(false) => self.order(b, a, !strictly),
                    None => Some(()),
                }
            }
            Op::Eq if truth(result) == Some(true) => {
                let (x, y) = (self.at(a), self.at(b));
                holds(self.narrow(a, y.lo(), y.hi()) && self.narrow(b, x.lo(), x.hi()))
            }
            Op::And => self.connect(a, b, result, true),
            Op::Or => self.connect(a, b, result, false),
            Op::Not => holds(self.narrow(a, 1.0 - result.hi(), 1.0 - result.lo())),
            Op::Select => self.choose(instruction, result, required),
            Op::Table => self.look_up(instruction, result),
            _ => Some(()),
        }
    }

    /// `register = minuend − subtrahend`.
    fn difference(&mut self, register: u32, minuend: Values, subtrahend: Values) -> Narrowed {
        let (lo, hi) = (down(minuend.lo() - subtrahend.hi()), up(minuend.hi() - subtrahend.lo()));
        self.narrow(register, lo, hi).then_some(())
    }

    /// `register = dividend / divisor`, if the divisor is not zero.
    fn divided(&mut self, register: u32, dividend: Values, divisor: Values) -> Narrowed {
        if divisor.lo() <= 0.0 && divisor.hi() >= 0.0 {
            return Some(());
        }
        let quotient = dividend.div(divisor);
        self.narrow(register, quotient.lo(), quotient.hi()).then_some(())
    }

    fn factors(&mut self, a: u32, b: u32, product: Values) -> Narrowed {
        if a == b {
            return Some(());
        }
        let y = self.at(b);
        self.divided(a, product, y)?;
        let x = self.at(a);
        self.divided(b, product, x)
    }

    /// `a ≤ b`, or `a < b`.
    fn order(&mut self, a: u32, b: u32, strictly: bool) -> Narrowed {
        let integers = self.plan.integer[a as usize] && self.plan.integer[b as usize];
        let gap = if strictly && integers { 1.0 } else { 0.0 };
        let (x, y) = (self.at(a), self.at(b));
        let holds = self.narrow(a, f64::NEG_INFINITY, y.hi() - gap)
            && self.narrow(b, x.lo() + gap, f64::INFINITY);
        holds.then_some(())
    }

    /// `a and b` with `unit` true, `a or b` with `unit` false.
    fn connect(&mut self, a: u32, b: u32, result: Values, unit: bool) -> Narrowed {
        let Some(value) = truth(result) else { return Some(()) };
        let set = |sweep: &mut Self, register: u32, to: bool| {
            let Interval { lo, hi } = if to { TRUE } else { FALSE }.interval();
            sweep.narrow(register, lo, hi).then_some(())
        };
        if value == unit {
            set(self, a, unit)?;
            return set(self, b, unit);
        }
        let (x, y) = (truth(self.at(a)), truth(self.at(b)));
        if x == Some(unit) {
            set(self, b, !unit)?;
        }
        if y == Some(unit) {
            set(self, a, !unit)?;
        }
        Some(())
    }

    /// The entries that can be meant, from the first to the last.
    fn look_up(&mut self, Instruction { a, b, .. }: Instruction, result: Values) -> Narrowed {
        let index = self.at(a);
        let meant = |(at, entry): (usize, &f64)| {
            let at = at as f64;
            let inside = index.lo() <= at && at <= index.hi();
            (inside && result.lo() <= *entry && *entry <= result.hi()).then_some(at)
        };
        let mut entries = self.code.tables[b as usize].iter().enumerate().filter_map(meant);
        let first = entries.next()?;
        let last = entries.next_back().unwrap_or(first);
        self.narrow(a, first, last).then_some(())
    }

    fn choose(&mut self, select: Instruction, result: Values, required: bool) -> Narrowed {
        let Instruction { a: guard, b: yes, c: no, .. } = select;
        let apart = |arm: Values| arm.hi() < result.lo() || arm.lo() > result.hi();
        let chosen = match truth(self.at(guard)) {
            Some(true) => yes,
            Some(false) => no,
            None if apart(self.at(yes)) && (required || self.at(yes).partial.is_no()) => {
                self.narrow(guard, 0.0, 0.0).then_some(())?;
                no
            }
            None if apart(self.at(no)) && (required || self.at(no).partial.is_no()) => {
                self.narrow(guard, 1.0, 1.0).then_some(())?;
                yes
            }
            None if self.keeps(yes, no, result, required) => no,
            None => return Some(()),
        };
        let narrowed = if required {
            self.require(chosen, result.lo(), result.hi())
        } else {
            self.narrow(chosen, result.lo(), result.hi())
        };
        narrowed.then_some(())
    }

    /// Whether a choice `guard ? min(rest, arm) : rest` is its `rest` either way, because the arm is
    /// above what is looked for.
    fn keeps(&self, lower: u32, rest: u32, result: Values, required: bool) -> bool {
        let Some(at) = (lower as usize).checked_sub(self.code.first) else { return false };
        let Instruction { op, a, b, .. } = self.code.instructions[at];
        let arm = self.at(if a == rest { b } else { a });
        let defined = required || arm.partial.is_no();
        op == Op::Min && (a == rest || b == rest) && defined && arm.lo() > result.hi()
    }
}

/// The exact results that may have been rounded into this range.
fn rounded(result: Values) -> Values {
    let Interval { lo, hi } = result.outward().interval();
    Values::new(lo - f64::MIN_POSITIVE, hi + f64::MIN_POSITIVE, Partial::NO)
}

fn truth(value: Values) -> Option<bool> {
    (value.lo() == value.hi()).then_some(value.lo() != 0.0)
}
