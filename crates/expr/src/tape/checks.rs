//! Checked evaluation: why a value is not a number, or not one to believe.

use sglsim_units::HashSet;

use super::{Check, Code, Op};
use crate::ExprError;

impl Code {
    /// The operands that the value of a register was made of, of a branch only the chosen one.
    fn sources(&self, at: usize, registers: &[f64]) -> Vec<u32> {
        let instruction = self.instructions[at];
        let (a, b, c) = (instruction.a, instruction.b, instruction.c);
        match instruction.op {
            Op::Select if registers[a as usize] != 0.0 => vec![a, b],
            Op::Select => vec![a, c],
            Op::Sum if registers[b as usize] < registers[a as usize] => vec![a, b],
            Op::Sum | Op::Root => vec![a, b, self.loops[c as usize].term],
            op => [a, b, c][..op.operands()].to_vec(),
        }
    }

    /// The first broken promise among everything that the outputs were made of. Of a loop that is
    /// its last round.
    pub(super) fn broken(&self, registers: &[f64]) -> Option<ExprError> {
        if self.checks.is_empty() {
            return None;
        }
        let mut seen: HashSet<u32> = self.outputs.iter().copied().collect();
        let mut open = self.outputs.clone();
        let mut broken: Option<(u32, ExprError)> = None;
        while let Some(register) = open.pop() {
            let error = self
                .checks
                .get(&register)
                .and_then(|check| check.broken(registers[register as usize]));
            if let Some(error) = error
                && broken.as_ref().is_none_or(|(first, _)| register < *first)
            {
                broken = Some((register, error));
            }
            if let Some(at) = (register as usize).checked_sub(self.first) {
                let new = self.sources(at, registers).into_iter().filter(|r| seen.insert(*r));
                open.extend(new);
            }
        }
        broken.map(|(_, error)| error)
    }

    /// Follows a value that is not finite to the operation that made it.
    pub(super) fn diagnose(&self, registers: &[f64], mut register: u32) -> ExprError {
        loop {
            let value = registers[register as usize];
            let Some(at) = (register as usize).checked_sub(self.first) else {
                return ExprError::Undefined { operation: "input", operands: vec![value], value };
            };
            let op = self.instructions[at].op;
            let operands = self.sources(at, registers);
            let values = || operands.iter().map(|r| registers[*r as usize]).collect::<Vec<f64>>();
            match operands.iter().find(|r| !registers[**r as usize].is_finite()) {
                Some(operand) => register = *operand,
                None => {
                    return match (op, self.checks.get(&register), values().as_slice()) {
                        (Op::Root, Some(Check::Bracketed(unknown)), [lo, hi, ..]) => {
                            ExprError::NotBracketed { unknown: unknown.clone(), lo: *lo, hi: *hi }
                        }
                        _ => {
                            ExprError::Undefined { operation: op.name(), operands: values(), value }
                        }
                    };
                }
            }
        }
    }
}

impl Check {
    fn broken(&self, value: f64) -> Option<ExprError> {
        match self {
            Check::Feasible(choices) if value == f64::INFINITY => {
                Some(ExprError::Infeasible { choices: choices.clone() })
            }
            Check::Assumed { operand, lo, hi, integer } => {
                let holds = *lo <= value && value <= *hi && (!integer || value.fract() == 0.0);
                let kind = if *integer { "an integer" } else { "a number" };
                (!holds && value.is_finite()).then(|| ExprError::Assumption {
                    operand: operand.clone(),
                    value,
                    allowed: match (*lo > f64::NEG_INFINITY, *hi < f64::INFINITY) {
                        (false, false) => kind.to_owned(),
                        (true, false) => format!("{kind} >= {lo}"),
                        (false, true) => format!("{kind} <= {hi}"),
                        (true, true) => format!("{kind} in [{lo}, {hi}]"),
                    },
                })
            }
            Check::Feasible(_) | Check::Bracketed(_) => None,
        }
    }
}
