//! Expressions: from tokens to nodes, by precedence.
//!
//! Nodes are built as they are read. What cannot be built is reported and stands for itself, as in
//! Rust; only where the reader is lost it gives up, at most once for each statement.

use std::ops::Range;

use sglsim_units::{HashMap, Nearest};

use super::error::{Problem, TextError};
use super::lex::{Kind, Name, Token};
use crate::arena::Arena;
use crate::build::{Comparison, Connective, Known};
use crate::node::Id;
use crate::number::Number;
use crate::{Dimension, ExprError};

/// Brackets inside brackets.
const MAX_NESTING: usize = 100;

/// What a name stands for.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Value(Id),
    Table(u32),
}

/// The reader gave up at a statement; the problem is reported.
#[derive(Debug)]
pub(super) struct Lost;

pub(super) type Read<T> = Result<T, Lost>;

/// A part of an expression: its node, where it stands, and the dimension it is said to have.
#[derive(Clone)]
pub(super) struct Operand {
    pub(super) id: Id,
    pub(super) span: Range<usize>,
    pub(super) said: Option<Known>,
}

/// `base ^ exponent` in a product.
struct Factor {
    base: Operand,
    exponent: Number,
}

pub(super) struct Reader<'a> {
    pub(super) arena: &'a mut Arena,
    pub(super) source: &'a str,
    pub(super) problems: Vec<Problem>,
    pub(super) names: HashMap<Name, Meaning>,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) indices: HashMap<(Name, bool), Id>,
    /// Indices of the sums and fixed points around.
    pub(super) bound: Vec<(Name, Id)>,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(arena: &'a mut Arena, source: &'a str) -> Reader<'a> {
        Reader {
            arena,
            source,
            problems: Vec::new(),
            names: HashMap::default(),
            tokens: Vec::new(),
            at: 0,
            indices: HashMap::default(),
            bound: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn start(&mut self, tokens: Vec<Token>) {
        (self.tokens, self.at, self.depth) = (tokens, 0, 0);
        self.bound.clear();
    }

    pub(super) fn report(&mut self, span: &Range<usize>, error: TextError) {
        let problem = Problem::at(self.source, span, error);
        self.problems.push(problem);
    }

    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(super) fn sees(&self, sign: &str) -> bool {
        matches!(self.peek().kind, Kind::Sign(found) if found == sign)
    }

    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let found = self.sees(sign);
        self.at += usize::from(found);
        found
    }

    /// Reports that something else should stand here.
    pub(super) fn lost<T>(&mut self, expected: &'static str) -> Read<T> {
        let Token { kind, span } = self.peek().clone();
        self.report(&span, TextError::Expected { expected, found: kind.to_string() });
        Err(Lost)
    }

    pub(super) fn expect(&mut self, sign: &str, expected: &'static str) -> Read<Range<usize>> {
        if self.sees(sign) { Ok(self.next().span) } else { self.lost(expected) }
    }

    pub(super) fn name(&mut self, expected: &'static str) -> Read<(Name, Range<usize>)> {
        match self.peek().kind.clone() {
            Kind::Name(name) => Ok((name, self.next().span)),
            _ => self.lost(expected),
        }
    }

    /// An operand that was just built; reports why it could not be, unless an operand is the reason.
    pub(super) fn built(&mut self, id: Id, span: Range<usize>, operands: &[&Operand]) -> Operand {
        let known = |operand: &&Operand| self.arena.error(operand.id).is_some();
        if let Some(error) = self.arena.error(id).cloned()
            && !operands.iter().any(known)
        {
            self.report(&span, Box::new(error).into());
        }
        Operand { id, span, said: None }
    }

    pub(super) fn refused(&mut self, error: ExprError, span: &Range<usize>) -> Operand {
        let id = self.arena.invalid(error);
        self.built(id, span.clone(), &[])
    }

    fn known(&self, operand: &Operand) -> Known {
        operand.said.unwrap_or_else(|| self.arena.known(operand.id))
    }

    /// Builds an operation on operands that must have one dimension, as its result does.
    pub(super) fn alike(
        &mut self,
        operation: &'static str,
        alike: &[&Operand],
        all: &[&Operand],
        span: Range<usize>,
        build: impl FnOnce(&mut Arena) -> Id,
    ) -> Operand {
        match self.common(operation, alike, &span) {
            Ok(known) => {
                let id = build(self.arena);
                let id = self.arena.note(id, known);
                self.built(id, span, all)
            }
            Err(refused) => refused,
        }
    }

    /// The dimension that operands share; the place of a misfit is the first operand that does not
    /// go with those before it.
    fn common(
        &mut self,
        operation: &'static str,
        operands: &[&Operand],
        span: &Range<usize>,
    ) -> Result<Known, Operand> {
        let knowns: Vec<(Id, Known)> = operands.iter().map(|o| (o.id, self.known(o))).collect();
        self.arena.common_known(operation, &knowns).map_err(|mut error| {
            let fits = |n: &usize| self.arena.common_known(operation, &knowns[..*n]).is_ok();
            let misfit = (1..=knowns.len()).find(|n| !fits(n)).map(|n| operands[n - 1]);
            let first = knowns.iter().position(|(_, known)| known.dimension().is_some());
            if let ExprError::Dimension { left, right, .. } = &mut error
                && let Some((first, misfit)) = first.map(|at| operands[at]).zip(misfit)
            {
                (*left, *right) = (self.written(first), self.written(misfit));
            }
            let place = misfit.map_or(span.clone(), |operand| operand.span.clone());
            self.refused(error, &place)
        })
    }

    /// An operand as it stands in the text, without its unit; its beginning if it is long.
    fn written(&self, operand: &Operand) -> String {
        let words: Vec<&str> = self.source[operand.span.clone()].split_whitespace().collect();
        let mut text = words.join(" ");
        if let Some((atom, _)) =
            text.split_once(" [").filter(|(_, unit)| unit.find(']') == Some(unit.len() - 1))
        {
            text.truncate(atom.len());
        }
        match text.char_indices().nth(80) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text,
        }
    }

    pub(super) fn expression(&mut self) -> Read<Operand> {
        self.deeper(|reader| {
            reader.connected("or", Connective::Or, |reader| {
                reader.connected("and", Connective::And, Reader::comparison)
            })
        })
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == MAX_NESTING {
            let span = self.peek().span.clone();
            self.report(&span, TextError::TooDeep { limit: MAX_NESTING });
            return Err(Lost);
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn connected(
        &mut self,
        word: &str,
        kind: Connective,
        read: impl Fn(&mut Self) -> Read<Operand>,
    ) -> Read<Operand> {
        let mut operands = vec![read(self)?];
        while self.eat(word) {
            operands.push(read(self)?);
        }
        if operands.len() == 1 {
            return Ok(operands.remove(0));
        }
        let ids: Vec<Id> = operands.iter().map(|operand| operand.id).collect();
        let id = self.arena.connect(kind, &ids);
        let span = operands[0].span.start..operands[operands.len() - 1].span.end;
        Ok(self.built(id, span, &operands.iter().collect::<Vec<_>>()))
    }

    fn comparison(&mut self) -> Read<Operand> {
        let start = self.peek().span.start;
        let mut negations = 0;
        while self.eat("not") {
            negations += 1;
        }
        let mut operand = self.sum()?;
        let kinds = [
            ("<=", Comparison::Le, false),
            ("<", Comparison::Lt, false),
            ("==", Comparison::Eq, false),
            (">=", Comparison::Le, true),
            (">", Comparison::Lt, true),
        ];
        if let Some((_, kind, swap)) = kinds.into_iter().find(|(sign, ..)| self.eat(sign)) {
            let right = self.sum()?;
            let span = operand.span.start..right.span.end;
            let (a, b) = if swap { (right.id, operand.id) } else { (operand.id, right.id) };
            let both = [&operand, &right];
            let compared = match self.common(kind.name(), &both, &span) {
                Ok(_) => {
                    let id = self.arena.compare(kind, a, b);
                    self.built(id, span, &both)
                }
                Err(refused) => refused,
            };
            if kinds.iter().any(|(sign, ..)| self.sees(sign)) {
                return self.lost("one comparison; join several by `and`");
            }
            operand = compared;
        }
        for _ in 0..negations {
            let id = self.arena.not(operand.id);
            operand = self.built(id, start..operand.span.end, &[&operand]);
        }
        Ok(operand)
    }

    pub(super) fn sum(&mut self) -> Read<Operand> {
        let start = self.peek().span.start;
        let negative = self.signs();
        let first = self.product()?;
        if !negative && !self.sees("+") && !self.sees("-") {
            return Ok(self.multiplied(&first));
        }
        if !self.sees("+") && !self.sees("-") {
            return Ok(self.negated(&first, start));
        }
        let mut terms = vec![self.term(&first, negative)];
        while self.sees("+") || self.sees("-") {
            let negative = self.signs();
            let product = self.product()?;
            terms.push(self.term(&product, negative));
        }
        let operands: Vec<&Operand> = terms.iter().map(|(operand, _)| operand).collect();
        let ids: Vec<(Id, Number)> = terms.iter().map(|(operand, c)| (operand.id, *c)).collect();
        let span = start..operands[operands.len() - 1].span.end;
        let minus = terms.len() == 2 && terms[1].1.is_negative();
        let operation = if minus { "-" } else { "+" };
        Ok(self.alike(operation, &operands, &operands, span, |arena| arena.add(Number::ZERO, &ids)))
    }

    /// Whether the signs here, if any, make a minus.
    fn signs(&mut self) -> bool {
        let mut negative = false;
        loop {
            if self.eat("-") {
                negative = !negative;
            } else if !self.eat("+") {
                return negative;
            }
        }
    }

    fn product(&mut self) -> Read<Vec<Factor>> {
        let mut factors = vec![self.factor()?];
        loop {
            let below = self.sees("/");
            if !self.eat("*") && !self.eat("/") {
                return Ok(factors);
            }
            let negative = self.signs();
            let mut factor = self.factor()?;
            if below {
                factor.exponent = factor.exponent.neg();
            }
            factors.push(factor);
            if negative {
                let span = self.peek().span.clone();
                let base = self.number(Number::MINUS_ONE, span);
                factors.push(Factor { base, exponent: Number::ONE });
            }
        }
    }

    fn number(&mut self, number: Number, span: Range<usize>) -> Operand {
        let id = self.arena.make_number("constant", number);
        self.built(id, span, &[])
    }

    /// The product of factors.
    fn multiplied(&mut self, factors: &[Factor]) -> Operand {
        match factors {
            [Factor { base, exponent }] if exponent.is_one() => base.clone(),
            _ => {
                let ids: Vec<(Id, Number)> =
                    factors.iter().map(|factor| (factor.base.id, factor.exponent)).collect();
                let known = self.product_known(factors);
                let id = self.arena.mul(Number::ONE, &ids);
                self.arena.note(id, known);
                self.product_built(id, known, factors)
            }
        }
    }

    /// Minus the product of factors.
    fn negated(&mut self, factors: &[Factor], start: usize) -> Operand {
        if let [Factor { base, exponent }] = factors
            && exponent.is_one()
            && let Some(n) = self.arena.constant(base.id)
        {
            // Of `-1.0`, which is no product: that would be the exact −1.
            let said = base.said;
            return Operand { said, ..self.number(n.neg(), start..base.span.end) };
        }
        let ids: Vec<(Id, Number)> =
            factors.iter().map(|factor| (factor.base.id, factor.exponent)).collect();
        let known = self.product_known(factors);
        let id = self.arena.mul(Number::MINUS_ONE, &ids);
        self.arena.note(id, known);
        let product = self.product_built(id, known, factors);
        Operand { span: start..product.span.end, ..product }
    }

    fn product_known(&self, factors: &[Factor]) -> Known {
        Known::product(factors.iter().map(|Factor { base, exponent }| {
            let constant = self.arena.constant(base.id).filter(|_| base.said.is_none());
            (self.known(base).power(exponent.to_f64()), constant.map(|n| n.pow(*exponent)))
        }))
    }

    fn product_built(&mut self, id: Id, known: Known, factors: &[Factor]) -> Operand {
        let ends = factors.iter().map(|factor| factor.base.span.end);
        let span = factors[0].base.span.start..ends.max().unwrap_or_default();
        let operands: Vec<&Operand> = factors.iter().map(|factor| &factor.base).collect();
        let said = operands.iter().any(|operand| operand.said.is_some()).then_some(known);
        Operand { said, ..self.built(id, span, &operands) }
    }

    /// A product in a sum, its constant factor apart: `2 * (x / 0.3)` keeps the division by 0.3.
    fn term(&mut self, factors: &[Factor], negative: bool) -> (Operand, Number) {
        let mut coefficient = Number::ONE;
        let mut rest: Vec<(Id, Number)> = Vec::new();
        for Factor { base, exponent } in factors {
            match self.arena.constant(base.id) {
                Some(n) if exponent.is_one() => coefficient = coefficient.mul(n),
                Some(n) if exponent.is_minus_one() && !n.is_float() && !n.is_zero() => {
                    coefficient = coefficient.mul(n.recip());
                }
                _ => rest.push((base.id, *exponent)),
            }
        }
        let known = self.product_known(factors);
        let divisor = rest.iter().any(|(base, _)| self.arena.constant(*base).is_some());
        let (id, coefficient) = match rest.as_slice() {
            [] => (self.arena.make_number("constant", coefficient), Number::ONE),
            [(base, e)] if e.is_one() => (*base, coefficient),
            _ if divisor => (self.arena.mul(coefficient, &rest), Number::ONE),
            _ => (self.arena.mul(Number::ONE, &rest), coefficient),
        };
        if coefficient.is_one() && rest.len() > 1 {
            self.arena.note(id, known);
        }
        let operand = self.product_built(id, known, factors);
        let said = if factors.len() > 1 { Some(known) } else { operand.said };
        let coefficient = if negative { coefficient.neg() } else { coefficient };
        (Operand { said, ..operand }, coefficient)
    }

    /// An atom with its exponent.
    fn factor(&mut self) -> Read<Factor> {
        let root = matches!(&self.peek().kind, Kind::Name(name) if name.base == "sqrt");
        let base = self.atom()?;
        // A root is a power; nothing else that is written as a call is taken apart.
        let argument = if root { self.root_of(&base) } else { None };
        if !self.eat("^") {
            return Ok(match argument {
                Some(argument) => Factor { base: argument, exponent: Number::HALF },
                None => Factor { base, exponent: Number::ONE },
            });
        }
        let exponent = self.deeper(|reader| {
            let start = reader.peek().span.start;
            let negative = reader.signs();
            let factor = reader.factor()?;
            let exponent = reader.multiplied(&[factor]);
            if !negative {
                return Ok(exponent);
            }
            let id = reader.arena.scale(exponent.id, Number::MINUS_ONE);
            Ok(reader.built(id, start..exponent.span.end, &[&exponent]))
        })?;
        if let Some(constant) = self.arena.constant(exponent.id) {
            return Ok(Factor { base, exponent: constant.as_exponent() });
        }
        let span = base.span.start..exponent.span.end;
        let operands = [&base, &exponent];
        let power = self.pure("^", &operands, span, |arena| arena.power(base.id, exponent.id));
        Ok(Factor { base: power, exponent: Number::ONE })
    }

    fn root_of(&self, root: &Operand) -> Option<Operand> {
        let crate::node::Node::Mul { coefficient, factors } = self.arena.shape(root.id) else {
            return None;
        };
        match &*factors {
            [(base, exponent)]
                if coefficient.is_one()
                    && *exponent == Number::HALF
                    && self.arena.label(root.id).is_none() =>
            {
                let span = root.span.clone();
                Some(Operand { id: *base, span, said: None })
            }
            _ => None,
        }
    }

    pub(super) fn pure(
        &mut self,
        operation: &'static str,
        operands: &[&Operand],
        span: Range<usize>,
        build: impl FnOnce(&mut Arena) -> Id,
    ) -> Operand {
        let knowns: Vec<(Id, Known)> = operands.iter().map(|o| (o.id, self.known(o))).collect();
        let id = self.arena.pure_known(operation, &knowns, build);
        self.built(id, span, operands)
    }

    fn atom(&mut self) -> Read<Operand> {
        let Token { kind, span } = self.peek().clone();
        let mut operand = match kind {
            Kind::Number(number) => {
                self.next();
                self.number(number, span)
            }
            Kind::Sign(word @ ("true" | "false")) => {
                self.next();
                let id = self.arena.truth(word == "true");
                Operand { id, span, said: None }
            }
            Kind::Sign("(") => {
                self.next();
                let inner = self.expression()?;
                let end = self.expect(")", "`)`")?.end;
                Operand { span: span.start..end, ..inner }
            }
            Kind::Sign("{") => {
                self.next();
                self.deeper(|reader| reader.piecewise(span.start))?
            }
            Kind::Name(name) => {
                self.next();
                match (name.base.as_str(), self.peek().kind.clone()) {
                    ("min_of", Kind::Sign("{")) => {
                        self.next();
                        self.deeper(|reader| reader.choice(span.start))?
                    }
                    (_, Kind::Sign("(")) => {
                        self.next();
                        self.deeper(|reader| reader.call(&name, &span))?
                    }
                    _ => self.named(&name, span)?,
                }
            }
            _ => return self.lost("an expression"),
        };
        if self.sees("[") {
            let (unit, place) = self.bracketed()?;
            let said = match unit.as_str() {
                "?" => Known::Any,
                unit => match unit.parse::<Dimension>() {
                    Ok(dimension) => Known::Exact(dimension),
                    Err(error) => {
                        self.report(&place, Box::new(error).into());
                        Known::Any
                    }
                },
            };
            operand.said = Some(said);
            operand.span.end = place.end;
        }
        Ok(operand)
    }

    /// The text between `[` and `]`, and where it stands.
    pub(super) fn bracketed(&mut self) -> Read<(String, Range<usize>)> {
        let open = self.expect("[", "`[`")?;
        while !self.sees("]") {
            if self.peek().kind == Kind::End {
                return self.lost("`]`");
            }
            self.next();
        }
        let close = self.next().span;
        let text = self.source[open.end..close.start].trim().to_owned();
        Ok((text, open.start..close.end))
    }

    fn named(&mut self, name: &Name, span: Range<usize>) -> Read<Operand> {
        let bound = self.bound.iter().rev().find(|(bound, _)| bound == name).map(|(_, id)| *id);
        let meaning = bound.map(Meaning::Value).or_else(|| self.names.get(name).copied());
        let meaning = meaning.or_else(|| {
            let plain = name.ordinal.is_none();
            let id = plain.then(|| self.arena.symbol_named(&name.base)).flatten()?;
            Some(Meaning::Value(id))
        });
        match meaning {
            Some(Meaning::Value(id)) => Ok(Operand { id, span, said: None }),
            Some(Meaning::Table(table)) => {
                self.expect("[", "`[` and the index of the table")?;
                let index = self.expression()?;
                let end = self.expect("]", "`]`")?.end;
                let id = self.arena.table(table, index.id);
                Ok(self.built(id, span.start..end, &[&index]))
            }
            None => {
                let mut known: Vec<String> =
                    self.bound.iter().map(|(name, _)| name.to_string()).collect();
                let mut declared: Vec<String> =
                    self.names.keys().map(ToString::to_string).collect();
                declared.sort_unstable();
                known.extend(declared);
                known.extend(self.arena.symbols.iter().map(|symbol| symbol.name.clone()));
                let hint = Nearest::to(&name.base, known.iter().map(String::as_str));
                let error = TextError::UnknownName { name: name.to_string(), hint: hint.clone() };
                self.report(&span, error);
                let name = name.to_string();
                let id = self.arena.invalid(ExprError::UnknownSymbol { name, hint });
                Ok(Operand { id, span, said: None })
            }
        }
    }

    /// Nothing is left of the statement.
    pub(super) fn finished(&mut self) -> Read<()> {
        if self.peek().kind == Kind::End { Ok(()) } else { self.lost("an operator or the end") }
    }
}
