//! The instructions of a program in another order: those of one operation next to each other.
//!
//! What an instruction does is then decided once for many. Which order is taken has no influence on
//! any value.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::{Code, Instruction, Loop, Op};

impl Op {
    /// Which operand is a number of its own and not a register.
    fn number(self) -> Option<usize> {
        match self {
            Op::PowInt | Op::Table => Some(1),
            Op::Sum | Op::Root => Some(2),
            _ => None,
        }
    }
}

impl Code {
    /// The same program with equal operations next to each other, as far as operands come first.
    pub(super) fn grouped(&self) -> Code {
        let mut order = Vec::with_capacity(self.instructions.len());
        self.group(&self.units(0..self.instructions.len()), &mut order);
        self.reordered(&order)
    }

    /// The parts of a block that can change places: instructions, and loops with their bodies.
    pub(super) fn units(&self, block: Range<usize>) -> Vec<Range<usize>> {
        let mut units = Vec::new();
        let mut at = block.start;
        while at < block.end {
            let end = if self.instructions[at].op.is_loop() { self.body(at).end } else { at + 1 };
            units.push(at..end);
            at = end;
        }
        units
    }

    /// Appends the instructions of these units, whose other operands are all there, to an order:
    /// always of the same operation as before if one has its operands, else of the operation that
    /// most have theirs of.
    pub(super) fn group(&self, units: &[Range<usize>], order: &mut Vec<usize>) {
        let mut unit_of: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, unit) in units.iter().enumerate() {
            unit_of.insert(unit.start, number);
        }
        let mut missing = vec![0; units.len()];
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
        for (number, unit) in units.iter().enumerate() {
            for at in unit.clone() {
                for operand in self.operands(at) {
                    let written = (operand as usize).checked_sub(self.first);
                    let other = written.and_then(|at| unit_of.get(&at));
                    if let Some(other) = other.filter(|other| **other != number) {
                        users[*other].push(number);
                        missing[number] += 1;
                    }
                }
            }
        }
        let op = |number: usize| self.instructions[units[number].start].op;
        let mut ready: BTreeMap<Op, VecDeque<usize>> = BTreeMap::new();
        for number in (0..units.len()).filter(|number| missing[*number] == 0) {
            ready.entry(op(number)).or_default().push_back(number);
        }
        let mut current = None;
        while !ready.is_empty() {
            let most = || ready.iter().rev().max_by_key(|(_, numbers)| numbers.len());
            let same = current.filter(|op| ready.contains_key(op));
            let Some(next) = same.or_else(|| most().map(|(op, _)| *op)) else { break };
            current = Some(next);
            let Some(number) = ready.get_mut(&next).and_then(VecDeque::pop_front) else {
                ready.remove(&next);
                continue;
            };
            self.push(&units[number], order);
            for user in &users[number] {
                missing[*user] -= 1;
                if missing[*user] == 0 {
                    ready.entry(op(*user)).or_default().push_back(*user);
                }
            }
        }
    }

    /// Appends a unit: of a loop its first two instructions stay where they are.
    fn push(&self, unit: &Range<usize>, order: &mut Vec<usize>) {
        order.push(unit.start);
        if self.instructions[unit.start].op.is_loop() {
            order.push(unit.start + 1);
            self.group(&self.units(unit.start + 2..unit.end), order);
        }
    }

    /// The registers that an instruction reads, of a loop its term too.
    pub(super) fn operands(&self, at: usize) -> impl Iterator<Item = u32> {
        let Instruction { op, a, b, c } = self.instructions[at];
        let term = if op.is_loop() { Some(self.loops[c as usize].term) } else { None };
        [a, b, c].into_iter().take(op.operands()).chain(term)
    }

    /// The same program with its instructions in this order.
    pub(super) fn reordered(&self, order: &[usize]) -> Code {
        let mut registers: Vec<u32> = (0..).take(self.registers.len()).collect();
        for (register, old) in (self.first as u32..).zip(order) {
            registers[self.first + old] = register;
        }
        let moved = |register: u32| registers[register as usize];
        let instructions = order.iter().map(|old| {
            let Instruction { op, a, b, c } = self.instructions[*old];
            let mut operands = [a, b, c];
            for (position, operand) in operands.iter_mut().enumerate() {
                if op.number() != Some(position) {
                    *operand = moved(*operand);
                }
            }
            let [a, b, c] = operands;
            Instruction { op, a, b, c }
        });
        let term = |body: &Loop| Loop { term: moved(body.term), ..*body };
        let checks = self.checks.iter().map(|(register, check)| (moved(*register), check.clone()));
        let mut code = Code {
            instructions: instructions.collect(),
            blocks: Vec::new(),
            loops: self.loops.iter().map(term).collect(),
            tables: self.tables.clone(),
            checks: checks.collect(),
            registers: self.registers.clone(),
            first: self.first,
            inputs: self.inputs.clone(),
            integers: self.integers.clone(),
            outputs: self.outputs.iter().map(|register| moved(*register)).collect(),
        };
        code.blocks = code.split();
        code
    }
}
