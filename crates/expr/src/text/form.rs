//! What is written with brackets and has a form of its own: case distinctions, choices, calls, sums.

use std::ops::Range;

use sglsim_units::Nearest;

use super::error::TextError;
use super::function::{Dimensions, FUNCTIONS};
use super::lex::Name;
use super::parse::{Lost, Operand, Read, Reader};
use crate::ExprError;
use crate::node::{Choice, Id};

impl Reader<'_> {
    /// `value if guard; …; otherwise}`.
    pub(super) fn piecewise(&mut self, start: usize) -> Read<Operand> {
        let mut arms: Vec<(Operand, Operand)> = Vec::new();
        let otherwise = loop {
            let value = self.expression()?;
            if !self.eat("if") {
                break value;
            }
            let guard = self.expression()?;
            arms.push((guard, value));
            if self.sees("}") {
                let span = self.next().span;
                self.report(&span, TextError::NoFallback);
                return Err(Lost);
            }
            self.expect(";", "`;` and another value")?;
        };
        let end = self.expect("}", "`if` and a guard, or `}`")?.end;
        let values: Vec<&Operand> =
            arms.iter().map(|(_, value)| value).chain([&otherwise]).collect();
        let all: Vec<&Operand> =
            arms.iter().map(|(guard, _)| guard).chain(values.clone()).collect();
        let ids: Vec<(Id, Id)> = arms.iter().map(|(guard, value)| (guard.id, value.id)).collect();
        let last = otherwise.id;
        Ok(self.alike("piecewise", &values, &all, start..end, |arena| arena.piecewise(&ids, last)))
    }

    /// `name: value if guard; …}`.
    pub(super) fn choice(&mut self, start: usize) -> Read<Operand> {
        let mut choices = Vec::new();
        let (mut values, mut all) = (Vec::new(), Vec::new());
        while !self.sees("}") {
            let (name, _) = self.name("the name of a choice")?;
            self.expect(":", "`:` and a value")?;
            let value = self.expression()?;
            let guard = if self.eat("if") { Some(self.expression()?) } else { None };
            let on = guard.as_ref().map_or_else(|| self.arena.truth(true), |guard| guard.id);
            choices.push(Choice { name: name.base.into(), value: value.id, guard: on });
            all.extend(guard);
            all.push(value.clone());
            values.push(value);
            if !self.eat(";") {
                break;
            }
        }
        let end = self.expect("}", "`;` or `}`")?.end;
        let (values, all): (Vec<&Operand>, Vec<&Operand>) =
            (values.iter().collect(), all.iter().collect());
        Ok(self.alike("kernel choice", &values, &all, start..end, |arena| arena.min_of(&choices)))
    }

    pub(super) fn call(&mut self, name: &Name, span: &Range<usize>) -> Read<Operand> {
        let start = span.start;
        match name.base.as_str() {
            "sum" => return self.over_index(start, false),
            "fixed_point" => return self.over_index(start, true),
            "assume" => return self.assumption(start),
            _ => {}
        }
        let mut arguments = Vec::new();
        if !self.sees(")") {
            arguments.push(self.expression()?);
            while self.eat(",") {
                arguments.push(self.expression()?);
            }
        }
        let end = self.expect(")", "`,` or `)`")?.end;
        let functions = FUNCTIONS;
        let Some(function) = functions.iter().find(|function| function.name == name.base) else {
            let known = functions.iter().map(|function| function.name);
            let hint = Nearest::to(&name.base, known.chain(["sum", "fixed_point", "assume"]));
            let name = name.base.clone();
            self.report(
                span,
                TextError::UnknownFunction { name: name.clone(), hint: hint.clone() },
            );
            let id = self.arena.invalid(ExprError::UnknownSymbol { name, hint });
            return Ok(Operand { id, span: start..end, said: None });
        };
        if !function.arguments.contains(&arguments.len()) {
            let (function, expected) = (function.name, function.takes);
            let found = arguments.len();
            self.report(&(start..end), TextError::Arguments { function, expected, found });
            return Err(Lost);
        }
        let operands: Vec<&Operand> = arguments.iter().collect();
        let ids: Vec<Id> = operands.iter().map(|operand| operand.id).collect();
        let build = function.build;
        Ok(match function.dimension {
            Dimensions::Alike => {
                self.alike(function.name, &operands, &operands, start..end, |a| build(a, &ids))
            }
            Dimensions::Pure => {
                self.pure(function.name, &operands, start..end, |arena| build(arena, &ids))
            }
            Dimensions::Own => {
                let id = build(self.arena, &ids);
                self.built(id, start..end, &operands)
            }
        })
    }

    /// The node of an index or an unknown: the `ordinal`-th of this name in the context.
    pub(super) fn index(&mut self, name: &Name, unknown: bool) -> Id {
        let ordinal = name.ordinal.unwrap_or(1);
        let arena = &mut *self.arena;
        let found = self.indices.entry((name.clone(), unknown));
        *found.or_insert_with(|| arena.nth_index(&name.base, ordinal, unknown))
    }

    /// `i = lo..hi: body)` of a sum, `x in lo..hi: body)` of a fixed point.
    fn over_index(&mut self, start: usize, fixed_point: bool) -> Read<Operand> {
        let (name, _) = self.name("the name of an index")?;
        if fixed_point {
            self.expect("in", "`in` and a range")?;
        } else {
            self.expect("=", "`=` and a range")?;
        }
        let lo = self.sum()?;
        self.expect("..", "`..` and the end of the range")?;
        let hi = self.sum()?;
        self.expect(":", "`:` and a body")?;
        let index = self.index(&name, fixed_point);
        self.bound.push((name, index));
        let body = self.expression();
        self.bound.pop();
        let body = body?;
        let span = start..self.expect(")", "`)`")?.end;
        let all = [&lo, &hi, &body];
        let (l, h, b) = (lo.id, hi.id, body.id);
        // The place of a limit that is not an integer is the limit.
        let limit = [&lo, &hi].into_iter().find(|limit| !self.arena.facts(limit.id).integer);
        if let Some(limit) =
            limit.filter(|limit| !fixed_point && self.arena.error(limit.id).is_none())
        {
            let error = ExprError::SumLimit { limit: self.arena.text(limit.id, 80) };
            return Ok(self.refused(error, &limit.span.clone()));
        }
        Ok(match fixed_point {
            true => self.alike("fixed point", &all, &all, span, |arena| {
                arena.fixed_point_of(index, l, h, b)
            }),
            false => self.alike("sum", &all[2..], &all, span, |a| a.sum_over(index, l, h, b)),
        })
    }

    /// `value, int, >= lo, <= hi)`.
    fn assumption(&mut self, start: usize) -> Read<Operand> {
        let value = self.expression()?;
        self.expect(",", "`,` and `int` or `real`")?;
        let integer = self.sees("int");
        if !self.eat("int") && !self.eat("real") {
            return self.lost("`int` or `real`");
        }
        let (mut lo, mut hi) = (None, None);
        while self.eat(",") {
            let end = if self.eat(">=") {
                &mut lo
            } else if self.eat("<=") {
                &mut hi
            } else {
                return self.lost("`>=` or `<=` and a number");
            };
            let bound = self.sum()?;
            match self.arena.constant(bound.id) {
                Some(n) => *end = Some(n),
                None => {
                    let found = self.source[bound.span.clone()].to_owned();
                    let error = TextError::Expected { expected: "a constant", found };
                    self.report(&bound.span, error);
                }
            }
        }
        let span = start..self.expect(")", "`,` or `)`")?.end;
        Ok(self.alike("assume", &[&value], &[&value], span, |arena| {
            arena.assume(value.id, lo, hi, integer)
        }))
    }
}
