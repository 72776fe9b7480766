//! Statements: what is declared, defined and asked for.

use std::ops::Range;

use super::error::TextError;
use super::lex::{self, Kind, Name};
use super::parse::{Lost, Meaning, Operand, Read, Reader};
use crate::arena::Label;
use crate::node::Id;
use crate::{ExprError, Sort, Symbol, Values};

/// Everything that a text says.
#[derive(Default)]
pub(super) struct Document {
    /// Name and description of the module.
    pub(super) module: Option<(String, String)>,
    pub(super) variables: Vec<Id>,
    pub(super) values: Values,
    /// Name and value.
    pub(super) objective: Option<(String, Operand)>,
    /// Name, condition and description.
    pub(super) constraints: Vec<(String, Operand, String)>,
    /// The expression that is not part of another statement.
    pub(super) result: Option<Operand>,
}

impl Reader<'_> {
    /// Reads all statements; each that cannot be read is reported once.
    pub(super) fn document(&mut self) -> Document {
        let mut document = Document::default();
        for statement in lex::statements(self.source) {
            let tokens = lex::tokens(self.source, statement);
            let declared = match tokens.get(1).map(|token| &token.kind) {
                Some(Kind::Name(name)) => Some(name.clone()),
                _ => None,
            };
            self.start(tokens);
            let read = self.statement(&mut document).and_then(|()| self.finished());
            if let (Err(Lost), Some(name)) = (read, declared) {
                // It would have been declared: using it is no second problem.
                let id = self.arena.invalid(ExprError::FreeIndex { index: name.base.clone() });
                self.names.entry(name).or_insert(Meaning::Value(id));
            }
        }
        document
    }

    fn statement(&mut self, document: &mut Document) -> Read<()> {
        let second = self.tokens.get(1).map(|token| &token.kind);
        let word = match (&self.peek().kind, second) {
            (Kind::Name(Name { base, ordinal: None }), Some(Kind::Name(_))) => base.clone(),
            _ => String::new(),
        };
        let expression = self.at;
        self.next();
        match word.as_str() {
            "module" => {
                let (name, _) = self.name("a name")?;
                let doc = self.doc();
                document.module = Some((name.base, doc));
            }
            "variable" => self.symbol(document, true)?,
            "parameter" => self.symbol(document, false)?,
            "index" | "unknown" => {
                let (name, span) = self.name("a name")?;
                let id = self.index(&name, word == "unknown");
                self.declare(name, Meaning::Value(id), &span);
            }
            "table" => self.table()?,
            "let" => {
                let (name, span) = self.name("a name")?;
                self.expect("=", "`=` and an expression")?;
                let value = self.expression()?;
                self.declare(name, Meaning::Value(value.id), &span);
            }
            "part" => self.part()?,
            "value" => {
                let (name, _) = self.name("a name")?;
                self.expect("=", "`=` and a number")?;
                let value = self.constant()?;
                document.values.insert(name.base, value);
            }
            "objective" => {
                let (name, span) = self.name("a name")?;
                self.expect("=", "`=` and an expression")?;
                let value = self.expression()?;
                if document.objective.is_some() {
                    self.report(&span, TextError::Duplicate { name: "objective".to_owned() });
                }
                self.closed(&value);
                document.objective = Some((name.base, value));
            }
            "constraint" => {
                let (name, _) = self.name("a name")?;
                self.expect(":", "`:` and a condition")?;
                let holds = self.expression()?;
                let doc = self.doc();
                self.condition(&holds);
                document.constraints.push((name.base, holds, doc));
            }
            _ => {
                self.at = expression;
                let value = self.expression()?;
                if document.result.is_some() {
                    let found = "another one".to_owned();
                    self.report(&value.span, TextError::Expected { expected: "one result", found });
                }
                self.closed(&value);
                document.result = Some(value);
            }
        }
        Ok(())
    }

    fn declare(&mut self, name: Name, meaning: Meaning, span: &Range<usize>) {
        if self.names.contains_key(&name) {
            self.report(span, TextError::Duplicate { name: name.to_string() });
        } else {
            self.names.insert(name, meaning);
        }
    }

    /// No index is used outside of its sum.
    fn closed(&mut self, value: &Operand) {
        if self.arena.error(value.id).is_none()
            && let Err(error) = self.arena.check_closed(value.id)
        {
            self.report(&value.span, Box::new(error).into());
        }
    }

    fn condition(&mut self, holds: &Operand) {
        self.closed(holds);
        if self.arena.error(holds.id).is_none() && !self.arena.facts(holds.id).boolean {
            let error = ExprError::WrongSort {
                operation: "constraint",
                expected: "truth value",
                found: self.arena.sort(holds.id),
                operand: self.arena.text(holds.id, 80),
            };
            self.report(&holds.span, Box::new(error).into());
        }
    }

    /// A quoted text, or nothing.
    fn doc(&mut self) -> String {
        match self.peek().kind.clone() {
            Kind::Text(text) => {
                self.next();
                text
            }
            _ => String::new(),
        }
    }

    /// A number, or `inf`, with a sign.
    fn constant(&mut self) -> Read<f64> {
        let negative = self.eat("-");
        let value = match self.peek().kind.clone() {
            Kind::Number(n) => n.to_f64(),
            Kind::Name(name) if name.base == "inf" => f64::INFINITY,
            _ => return self.lost("a number"),
        };
        self.next();
        Ok(if negative { -value } else { value })
    }

    /// `name: sort domain [unit] = value "description"`.
    fn symbol(&mut self, document: &mut Document, variable: bool) -> Read<()> {
        let (name, span) = self.name("a name")?;
        self.expect(":", "`:` and `int`, `real` or `bool`")?;
        let mut symbol = if self.eat("int") {
            Symbol::int(&name.base)
        } else if self.eat("real") {
            Symbol::real(&name.base)
        } else if self.eat("bool") {
            Symbol::boolean(&name.base)
        } else {
            return self.lost("`int`, `real` or `bool`");
        };
        if self.eat(">=") {
            symbol = symbol.at_least(self.constant()?);
        } else if self.eat("<=") {
            symbol = symbol.at_most(self.constant()?);
        } else if self.eat(">") {
            if !matches!(&self.peek().kind, Kind::Number(n) if n.is_zero()) {
                return self.lost("0; other bounds are included: `>=`");
            }
            self.next();
            symbol = symbol.positive();
        } else if self.eat("in") {
            self.expect("[", "`[`")?;
            let low = self.constant()?;
            self.expect(",", "`,`")?;
            let high = self.constant()?;
            self.expect("]", "`]`")?;
            symbol.domain = Some((low, high));
        }
        let mut place = span.clone();
        if self.sees("[") {
            let (unit, span) = self.bracketed()?;
            (symbol.unit, place) = (unit, span);
        }
        if self.eat("=") {
            let value_span = self.peek().span.clone();
            let value = match symbol.sort {
                Sort::Bool if self.eat("true") => 1.0,
                Sort::Bool if self.eat("false") => 0.0,
                _ => self.constant()?,
            };
            if let Err(error) = symbol.check(value) {
                self.report(&value_span, Box::new(error).into());
            }
            document.values.insert(&name.base, value);
        }
        symbol.doc = self.doc();
        let id = match self.arena.declare(symbol) {
            Ok(id) => id,
            Err(error) => {
                let unit = matches!(error, ExprError::UnknownUnit { .. });
                let place = if unit { place } else { span.clone() };
                self.report(&place, Box::new(error.clone()).into());
                self.arena.invalid(error)
            }
        };
        if variable {
            document.variables.push(id);
        }
        self.declare(name, Meaning::Value(id), &span);
        Ok(())
    }

    /// `name = [1, 2.5, -3]`.
    fn table(&mut self) -> Read<()> {
        let (name, span) = self.name("a name")?;
        self.expect("=", "`=` and `[`")?;
        self.expect("[", "`[`")?;
        let mut values = Vec::new();
        if !self.sees("]") {
            values.push(self.constant()?);
            while self.eat(",") {
                values.push(self.constant()?);
            }
        }
        self.expect("]", "`,` or `]`")?;
        if let Some(value) = values.iter().copied().find(|value| !value.is_finite()) {
            let error = ExprError::NotFinite { operation: "table", value };
            self.report(&span, Box::new(error).into());
        }
        let table = self.arena.register_table(&values);
        self.declare(name, Meaning::Table(table), &span);
        Ok(())
    }

    /// `name [unit] = expression "description"`.
    fn part(&mut self) -> Read<()> {
        let (name, span) = self.name("a name")?;
        let mut unit = String::new();
        let mut place = span.clone();
        if self.sees("[") {
            (unit, place) = self.bracketed()?;
        }
        self.expect("=", "`=` and an expression")?;
        let value = self.expression()?;
        let doc = self.doc();
        match self.arena.settle(value.id, &unit) {
            Ok(()) => {
                let label = Label { name: name.base.clone(), unit, doc };
                self.arena.set_label(value.id, label);
            }
            Err(error) => self.report(&place, Box::new(error).into()),
        }
        self.declare(name, Meaning::Value(value.id), &span);
        Ok(())
    }
}
