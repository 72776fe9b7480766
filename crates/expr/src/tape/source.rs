//! A program as source code: every instruction is a part of one line, or a line of its own.
//!
//! The instructions are those that the simulator runs, so the source computes the same values in
//! the same order. What is used once is written where it is used; what is used more often, named,
//! or too long gets a line.

use std::fmt::Write;
use std::ops::Range;

use super::{Code, Instruction, Op, Program, compile};
use crate::ExprError;
use crate::arena::Arena;
use crate::node::Id;

/// Characters after which a part gets a line of its own.
const MAX_TEXT: usize = 70;

/// How a language writes what not all write alike. Arithmetic and comparisons are the same in all.
pub(crate) trait Dialect {
    /// What it is called in an error.
    fn language(&self) -> &'static str;

    /// Spaces before a line of a function's body.
    fn indent(&self) -> usize {
        4
    }

    /// A number.
    fn number(&self, value: f64) -> String;

    /// A quotient, if `/` does not do.
    fn divide(&self, _a: &Text, _b: &Text) -> Option<String> {
        None
    }

    /// Any operation but arithmetic and comparisons; `None` if the language has no such
    /// operation. An integer exponent is the second operand of [`Op::PowInt`].
    fn call(&self, op: Op, operands: &[Text]) -> Option<Text>;

    /// The line that gives a name to a value.
    fn define(&self, name: &str, text: &str) -> String;

    /// Lines before and after the body of a sum.
    fn sum(&self, sum: &Loop<'_>) -> (Vec<String>, Vec<String>);

    /// Lines before and after the body of a fixed point.
    fn root(&self, root: &Loop<'_>) -> (Vec<String>, Vec<String>);

    /// The line at the top of the file that holds a table.
    fn table(&self, name: &str, values: &[f64]) -> String;

    /// An entry of the table of this name, undefined outside of it.
    fn entry(&self, table: &str, length: usize, index: &Text) -> Text;
}

/// How tightly a text binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Comparisons, connectives and choices.
    Loose,
    Sum,
    Product,
    Atom,
}

/// A written part.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) level: Level,
}

impl Text {
    /// A name, a number, a call, or anything in parentheses.
    pub(crate) fn atom(text: impl Into<String>) -> Text {
        Text { text: text.into(), level: Level::Atom }
    }

    pub(crate) fn loose(text: String) -> Text {
        Text { text, level: Level::Loose }
    }

    /// In parentheses, unless it binds tightly enough.
    pub(crate) fn at(&self, level: Level) -> String {
        if self.level >= level { self.text.clone() } else { format!("({})", self.text) }
    }
}

/// The texts of a sum, or of a fixed point.
pub(crate) struct Loop<'a> {
    /// What its value is called.
    pub(crate) total: &'a str,
    /// A name for the function of the body, or for the search.
    pub(crate) function: &'a str,
    pub(crate) index: &'a str,
    pub(crate) lo: &'a str,
    pub(crate) hi: &'a str,
    pub(crate) term: &'a str,
    /// How many terms there can be, if that is known.
    pub(crate) most: Option<u64>,
}

/// The body of a function, and what it computed.
pub(crate) struct Body {
    /// Lines that stand before the function.
    pub(crate) tables: String,
    pub(crate) lines: String,
    pub(crate) outputs: Vec<String>,
}

/// Writes the program with these identifiers for its inputs and, where given, these names for its
/// outputs. `most` are the terms that loops outside of loops can have, in order; `claim` makes a
/// name a new identifier.
pub(crate) fn write(
    program: &Program,
    dialect: &dyn Dialect,
    inputs: &[String],
    names: &[Option<String>],
    most: &[Option<u64>],
    claim: &mut dyn FnMut(&str) -> String,
) -> Result<Body, ExprError> {
    let code = &*program.source;
    let mut wanted: Vec<(u32, String)> = code
        .outputs
        .iter()
        .zip(names)
        .filter_map(|(register, name)| Some((*register, name.clone()?)))
        .collect();
    wanted.sort_by_key(|(register, _)| *register);
    wanted.dedup_by_key(|(register, _)| *register);
    let constants = &code.registers[inputs.len()..code.first];
    let mut texts: Vec<Text> = inputs.iter().map(Text::atom).collect();
    texts.extend(constants.iter().map(|value| {
        let level = if *value < 0.0 { Level::Sum } else { Level::Atom };
        Text { text: dialect.number(*value), level }
    }));
    texts.resize(code.registers.len(), Text::atom(""));
    let tables: Vec<String> =
        (1..=code.tables.len()).map(|number| claim(&format!("table_{number}"))).collect();
    let mut writer = Writer {
        code,
        dialect,
        claim,
        names: wanted,
        tables,
        most: most.iter(),
        texts,
        uses: uses(code),
        lines: String::new(),
        unnamed: 0,
    };
    writer.block(0..code.instructions.len(), 1)?;
    let outputs = code.outputs.iter().map(|at| writer.texts[*at as usize].text.clone()).collect();
    let tables = writer.tables.iter().zip(&code.tables);
    let tables = tables.map(|(name, values)| dialect.table(name, values) + "\n").collect();
    Ok(Body { tables, lines: writer.lines, outputs })
}

impl Program {
    pub(crate) fn of_nodes(
        arena: &Arena,
        outputs: &[Id],
        inputs: &[&str],
    ) -> Result<Program, ExprError> {
        Ok(Program::of(compile::compile(arena, outputs, inputs)?))
    }
}

struct Writer<'a> {
    code: &'a Code,
    dialect: &'a dyn Dialect,
    claim: &'a mut dyn FnMut(&str) -> String,
    /// Wanted names by register.
    names: Vec<(u32, String)>,
    /// Names of the tables.
    tables: Vec<String>,
    /// Terms that the next outer loops can have.
    most: std::slice::Iter<'a, Option<u64>>,
    texts: Vec<Text>,
    uses: Vec<u32>,
    lines: String,
    unnamed: usize,
}

/// How often each register is read; one that is read in a deeper loop than it is written counts
/// more than once.
fn uses(code: &Code) -> Vec<u32> {
    let mut depth = vec![0u32; code.instructions.len()];
    for (at, instruction) in code.instructions.iter().enumerate() {
        if instruction.op.is_loop() {
            code.body(at).for_each(|inside| depth[inside] += 1);
        }
    }
    let mut uses = vec![0u32; code.registers.len()];
    let mut read = |register: u32, from: u32| {
        let written = (register as usize).checked_sub(code.first);
        let same = written.is_some_and(|at| depth[at] == from);
        uses[register as usize] += if same { 1 } else { 2 };
    };
    for (at, instruction) in code.instructions.iter().enumerate() {
        let Instruction { op, a, b, c } = *instruction;
        [a, b, c][..op.operands()].iter().for_each(|register| read(*register, depth[at]));
        if op.is_loop() {
            read(code.loops[c as usize].term, depth[at] + 1);
            // The limits are written more than once.
            [a, b].iter().for_each(|limit| read(*limit, depth[at]));
        }
    }
    code.outputs.iter().for_each(|register| read(*register, 0));
    uses
}

impl Writer<'_> {
    fn block(&mut self, range: Range<usize>, depth: usize) -> Result<(), ExprError> {
        let mut at = range.start;
        while at < range.end {
            let op = self.code.instructions[at].op;
            match op {
                Op::Sum | Op::Root => {
                    self.looped(at, depth)?;
                    at = self.code.body(at).end;
                    continue;
                }
                // Its name comes with its loop.
                Op::Index => {}
                _ => self.instruction(at, depth)?,
            }
            at += 1;
        }
        Ok(())
    }

    fn instruction(&mut self, at: usize, depth: usize) -> Result<(), ExprError> {
        let instruction = self.code.instructions[at];
        let result = self.code.first + at;
        let text = self.text(instruction).ok_or_else(|| ExprError::Unsupported {
            operation: instruction.op.name(),
            by: self.dialect.language(),
        })?;
        let name = self.name_of(result);
        let short = text.text.len() <= MAX_TEXT && self.uses[result] < 2;
        self.texts[result] = if name.is_none() && short {
            text
        } else {
            let name = self.claim(name, "t");
            let line = self.dialect.define(&name, &text.text);
            self.line(depth, &line);
            Text::atom(name)
        };
        Ok(())
    }

    fn text(&self, instruction: Instruction) -> Option<Text> {
        let Instruction { op, a, b, c } = instruction;
        let operand = |register: u32| &self.texts[register as usize];
        let infix = |level: Level, a: String, sign: &str, b: String| {
            Some(Text { text: format!("{a} {sign} {b}"), level })
        };
        let comparison = |sign: &str| {
            let (a, b) = (operand(a).at(Level::Sum), operand(b).at(Level::Sum));
            infix(Level::Loose, a, sign, b)
        };
        match op {
            Op::Add => {
                infix(Level::Sum, operand(a).at(Level::Sum), "+", operand(b).at(Level::Product))
            }
            Op::Sub => {
                infix(Level::Sum, operand(a).at(Level::Sum), "-", operand(b).at(Level::Product))
            }
            Op::Mul => infix(
                Level::Product,
                operand(a).at(Level::Product),
                "*",
                operand(b).at(Level::Atom),
            ),
            Op::MulAdd => {
                let product =
                    format!("{} * {}", operand(a).at(Level::Product), operand(b).at(Level::Atom));
                infix(Level::Sum, operand(c).at(Level::Sum), "+", product)
            }
            Op::Div => match self.dialect.divide(operand(a), operand(b)) {
                Some(text) => Some(Text::atom(text)),
                None => infix(
                    Level::Product,
                    operand(a).at(Level::Product),
                    "/",
                    operand(b).at(Level::Atom),
                ),
            },
            Op::Neg => {
                Some(Text { text: format!("-{}", operand(a).at(Level::Atom)), level: Level::Sum })
            }
            Op::Le => comparison("<="),
            Op::Lt => comparison("<"),
            Op::Eq => comparison("=="),
            Op::Table => {
                let (name, length) = (&self.tables[b as usize], self.code.tables[b as usize].len());
                Some(self.dialect.entry(name, length, operand(a)))
            }
            _ => {
                let registers = [a, b, c];
                let mut operands: Vec<Text> =
                    registers[..op.operands()].iter().map(|at| operand(*at).clone()).collect();
                if op == Op::PowInt {
                    operands.push(Text::atom(b.to_string()));
                }
                self.dialect.call(op, &operands)
            }
        }
    }

    fn looped(&mut self, at: usize, depth: usize) -> Result<(), ExprError> {
        let Instruction { op, a, b, c } = self.code.instructions[at];
        let result = self.code.first + at;
        let body = self.code.body(at);
        let constants = self.code.inputs.len()..self.code.first;
        let constant = |register: u32| {
            constants.contains(&(register as usize)).then(|| self.code.registers[register as usize])
        };
        let fixed =
            constant(a).zip(constant(b)).map(|(lo, hi)| f64::max(hi - lo + 1.0, 0.0) as u64);
        let most = if depth == 1 { self.most.next().copied().flatten() } else { None };
        let [lo, hi] = [a, b].map(|limit| self.texts[limit as usize].at(Level::Product));
        let total = self.name_of(result);
        let total = self.claim(total, if op == Op::Root { "x" } else { "s" });
        let function = (self.claim)(&format!("f_{total}"));
        let index = self.claim(None, if op == Op::Root { "u" } else { "i" });
        self.texts[self.code.first + body.start] = Text::atom(index.as_str());
        let outside = std::mem::take(&mut self.lines);
        self.block(body, depth + 1)?;
        let inside = std::mem::replace(&mut self.lines, outside);
        let term = self.texts[self.code.loops[c as usize].term as usize].at(Level::Product);
        let texts = Loop {
            total: &total,
            function: &function,
            index: &index,
            lo: &lo,
            hi: &hi,
            term: &term,
            most: fixed.or(most),
        };
        let (before, after) = match op {
            Op::Root => self.dialect.root(&texts),
            _ => self.dialect.sum(&texts),
        };
        before.iter().for_each(|line| self.line(depth, line));
        self.lines.push_str(&inside);
        after.iter().for_each(|line| self.line(depth, line));
        self.texts[result] = Text::atom(total);
        Ok(())
    }

    fn claim(&mut self, name: Option<String>, kind: &str) -> String {
        let wanted = name.unwrap_or_else(|| {
            self.unnamed += 1;
            format!("{kind}{}", self.unnamed)
        });
        (self.claim)(&wanted)
    }

    fn name_of(&self, register: usize) -> Option<String> {
        let found = self.names.binary_search_by_key(&register, |(register, _)| *register as usize);
        found.ok().map(|at| self.names[at].1.clone())
    }

    fn line(&mut self, depth: usize, text: &str) {
        let width = self.dialect.indent() * depth;
        writeln!(self.lines, "{:width$}{text}", "").expect("writing to a string");
    }
}
