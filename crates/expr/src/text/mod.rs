//! Our own text form: printed to be read, and read back.
//!
//! A text is a list of statements, one a line; what is indented deeper continues the line before.
//!
//! ```text
//! module decode  "Output throughput of a decode pool."
//! variable workers: int in [1, 64] = 2  "decode workers"
//! parameter rate: real > 0 [token/s] = 30000
//! part pool [token/s] = workers * rate  "what the workers can do"
//! objective throughput = min(pool, 1e5)
//! constraint gpus: workers * 8 <= 64  "GPUs there are"
//! ```
//!
//! | statement | declares |
//! |---|---|
//! | `variable`, `parameter` | a symbol: sort, `>= a`, `<= b`, `> 0` or `in [a, b]`, `[unit]`, `= value` |
//! | `part x [unit] = …` | a named part ([`Expr::named`]) |
//! | `let x = …` | an abbreviation, which leaves no name behind |
//! | `table x = [1, 2]` | a table, used as `x[i]` |
//! | `index i`, `unknown x` | an index outside of its sum, an unknown outside of its fixed point |
//! | `value x = 1` | a value of what is no symbol of the module |
//!
//! Expressions are written as Rust's: `+ - * / ^`, `<= < == > >=`, `and or not`, `max min ceil floor
//! abs mod sqrt exp ln pow ceil_div floor_div`, and
//!
//! * `{a if n <= 8; b if n <= 64; c}`: the first whose guard holds, else the last;
//! * ``min_of{ring: a; `one-shot`: b if n <= 8}``: the least feasible one;
//! * `sum(i = 1..n: body)`, `fixed_point(x in lo..hi: body)`, `assume(x, int, >= 1, <= 8)`.
//!
//! `2` is exact and `2.0` a float. A name that is not a plain one stands between backquotes, and
//! `x'2` is the second thing called `x`. `x [B/s]` says what a number measures, and `x [?]` that it
//! fits everywhere. `#` begins a comment.

mod dimension;
mod document;
mod error;
mod form;
mod function;
mod lex;
mod parse;
mod print;
mod statement;

pub use error::{Problem, Problems, TextError};

use parse::Reader;
use statement::Document;

use crate::arena::Arena;
use crate::{Constraint, Context, Expr, ExprError, Module};

impl Context {
    /// Reads an expression, of symbols declared before or in the text.
    ///
    /// Equal text gives the same expression, and what [`Expr::to_text`] wrote gives the expression
    /// it was written from. All problems are reported at once, each with its place.
    ///
    /// ```
    /// use sglsim_expr::{Context, Symbol, max};
    /// let cx = Context::new();
    /// let tokens = cx.symbol(Symbol::int("tokens").at_least(0.0))?;
    /// let time = cx.parse(
    ///     "parameter bandwidth: real > 0 [B/s]\n\
    ///      max(4096 * tokens / bandwidth, 2e-6)",
    /// )?;
    /// assert_eq!(time.to_string(), "max(4096 * tokens / bandwidth, 2e-6)");
    /// assert_eq!(cx.parse(&time.to_text()?)?, time);
    /// let problems = cx.parse("max(tokns, floor(bandwidth) + 2e-6 [s]").unwrap_err();
    /// assert_eq!(problems.to_string(), "\
    /// 1:5: unknown name `tokns`; did you mean `tokens`?
    /// 1 | max(tokns, floor(bandwidth) + 2e-6 [s]
    ///   |     ^^^^^
    /// 1:31: `+` of `floor(bandwidth)` in B/s and `2e-6` in s
    /// 1 | max(tokns, floor(bandwidth) + 2e-6 [s]
    ///   |                               ^^^^^^^^
    /// 1:39: expected `,` or `)`, found the end of the statement
    /// 1 | max(tokns, floor(bandwidth) + 2e-6 [s]
    ///   |                                       ^");
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::Text`] with every [`Problem`].
    pub fn parse(&self, text: &str) -> Result<Expr, ExprError> {
        let (id, _) = read(self, text, |reader, document| {
            if let Some((_, objective)) = &document.objective {
                let found = "an objective".to_owned();
                let expected = "an expression; read modules by `Module::parse`";
                reader.report(&objective.span.clone(), TextError::Expected { expected, found });
            }
            missing(reader, document.result.is_none(), "an expression");
            document.result.as_ref().map(|result| result.id)
        })?;
        Ok(self.expr(id))
    }
}

impl Expr {
    /// The expression as a text that [`Context::parse`] reads: declarations, named and shared
    /// parts, the expression.
    ///
    /// Where numbers were put in for symbols with a unit, dimensions may not add up any more; then
    /// `[?]` keeps them from being checked again.
    ///
    /// # Errors
    ///
    /// What makes the expression invalid.
    pub fn to_text(&self) -> Result<String, ExprError> {
        let arena = self.cx.lock();
        arena.check_closed(self.id)?;
        Ok(arena.expression_text(self.id))
    }
}

impl Module {
    /// Reads a module as [`Module::to_text`] writes it; see the crate's documentation for the form.
    ///
    /// ```
    /// use sglsim_expr::{Context, Module, Values};
    /// let text = r#"
    /// module decode  "Output throughput of a decode pool."
    /// variable workers: int in [1, 64] = 2  "decode workers"
    /// parameter rate: real > 0 [token/s] = 30000
    /// part pool [token/s] = workers * rate
    /// objective throughput = min(pool, 1e5)
    /// constraint gpus: workers * 8 <= 64  "GPUs there are"
    /// "#;
    /// let module = Module::parse(&Context::new(), text)?;
    /// assert_eq!(module.evaluate(&Values::new())?, 6e4);
    /// assert_eq!(Module::parse(module.objective.context(), &module.to_text()?)?, module);
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::Text`] with every [`Problem`].
    pub fn parse(cx: &Context, text: &str) -> Result<Module, ExprError> {
        let (objective, document) = read(cx, text, |reader, document| {
            if let Some(result) = &document.result {
                let found = "an expression".to_owned();
                let error = TextError::Expected { expected: "a statement", found };
                reader.report(&result.span.clone(), error);
            }
            missing(reader, document.module.is_none(), "`module` and a name");
            missing(reader, document.objective.is_none(), "`objective`, a name and an expression");
            document.objective.as_ref().map(|(_, objective)| objective.id)
        })?;
        let Document { module, variables, values, objective: named, constraints, .. } = document;
        let (name, doc) = module.unwrap_or_default();
        let objective_name = named.map(|(name, _)| name).unwrap_or_default();
        let constraints = constraints
            .into_iter()
            .map(|(name, holds, doc)| Constraint::new(name, cx.expr(holds.id), doc));
        Ok(Module {
            doc,
            values,
            variables: variables.into_iter().map(|id| cx.expr(id)).collect(),
            constraints: constraints.collect(),
            ..Module::new(name, objective_name, cx.expr(objective))
        })
    }

    /// The module as a text that [`Module::parse`] reads.
    ///
    /// # Errors
    ///
    /// What makes an expression invalid, or [`ExprError::NotASymbol`].
    pub fn to_text(&self) -> Result<String, ExprError> {
        let (cx, roots) = self.roots()?;
        let text = cx.lock().module_text(self, &roots);
        Ok(text)
    }
}

/// Reads a text and takes what it was read for.
fn read<T>(
    cx: &Context,
    text: &str,
    take: impl FnOnce(&mut Reader<'_>, &Document) -> Option<T>,
) -> Result<(T, Document), ExprError> {
    let mut arena = cx.lock();
    let arena: &mut Arena = &mut arena;
    let mut reader = Reader::new(arena, text);
    let document = reader.document();
    let lost = !reader.problems.is_empty();
    let taken = if lost { None } else { take(&mut reader, &document) };
    let mut problems = reader.problems;
    match taken {
        Some(taken) if problems.is_empty() => Ok((taken, document)),
        _ => {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(ExprError::Text(Problems(problems)))
        }
    }
}

/// Reports that something is not there, at the end.
fn missing(reader: &mut Reader<'_>, missing: bool, expected: &'static str) {
    if missing {
        let end = reader.source.trim_end().len();
        let found = "the end of the text".to_owned();
        reader.report(&(end..end), TextError::Expected { expected, found });
    }
}
