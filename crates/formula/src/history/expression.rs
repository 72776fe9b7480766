//! A metric of a run as an expression: counts, constants, and one sum over the steps of each pool.

use sglsim_expr::{Constraint, Context, Expr, sum, table};
use sglsim_kernels::StepFeatures;
use sglsim_units::HashMap;

use super::History;
use super::graph::Weights;
use super::reading::{Part, Reading};
use crate::FormulaError;
use crate::pool::{Step, imported};
use crate::symbols::Symbols;

/// A law that a run used again and again: each different call once, with its weights added.
struct Calls<const N: usize> {
    rows: Vec<[f64; N]>,
    weights: Vec<f64>,
    known: HashMap<[u64; N], usize>,
}

impl<const N: usize> Calls<N> {
    fn new() -> Self {
        Self { rows: Vec::new(), weights: Vec::new(), known: HashMap::default() }
    }

    fn add(&mut self, row: [f64; N], weight: f64) {
        if weight == 0.0 {
            return;
        }
        let at = *self.known.entry(row.map(f64::to_bits)).or_insert_with(|| {
            self.rows.push(row);
            self.weights.push(0.0);
            self.rows.len() - 1
        });
        self.weights[at] += weight;
    }

    /// `Σ weight · law(row)`, the law being `of` these symbols.
    fn sum(&self, law: &Expr, of: &[Expr; N], index: &str) -> Expr {
        let cx = law.context();
        let (Some(last), [first, rest @ ..]) = (self.rows.len().checked_sub(1), &*self.rows) else {
            return cx.constant(0);
        };
        let at = cx.index(index);
        let column = |n: usize| -> Expr {
            // What is the same in all rows needs no table.
            if rest.iter().all(|row| row[n] == first[n]) {
                return number(cx, first[n]);
            }
            let values: Vec<f64> = self.rows.iter().map(|row| row[n]).collect();
            table(&values, &at)
        };
        let columns: Vec<(&Expr, Expr)> =
            of.iter().enumerate().map(|(n, symbol)| (symbol, column(n))).collect();
        let each = law.substitute(&columns);
        if rest.is_empty() {
            return each * self.weights[0];
        }
        let last = cx.constant(u32::try_from(last).unwrap_or(u32::MAX));
        sum(&at, 0, last, table(&self.weights, &at) * each)
    }
}

/// Counts are exact integers, so that what is decided by them is.
fn number(cx: &Context, value: f64) -> Expr {
    #[expect(clippy::cast_possible_truncation, reason = "a count")]
    let exact = value as i64;
    if exact as f64 == value { cx.constant(exact) } else { cx.constant(value) }
}

impl History {
    /// A quotient of weighted sums of instants as an expression, and what its laws demand.
    pub(super) fn express(
        &self,
        symbols: &mut Symbols,
        reading: &Reading,
    ) -> Result<(Expr, Vec<Constraint>), FormulaError> {
        let mut constraints = Vec::new();
        let mut express = |symbols: &mut Symbols, part: &Part| match part {
            Part::Count(count) => Ok(number(symbols.context(), *count)),
            Part::Time(ends) => {
                let weights = self.record.graph.walk_back(ends, &self.at);
                let (time, demands) = self.time(symbols, &weights)?;
                constraints.extend(demands);
                Ok::<_, FormulaError>(time)
            }
        };
        let above = express(symbols, &reading.above)?;
        let below = express(symbols, &reading.below)?;
        // A sum and a count need no name of their own; what is divided by is the duration.
        let below = match reading.below {
            Part::Time(_) => below.named("run_duration", "s", "first arrival to last token"),
            Part::Count(_) => below,
        };
        Ok((above / below, constraints))
    }

    fn time(
        &self,
        symbols: &mut Symbols,
        weights: &Weights,
    ) -> Result<(Expr, Vec<Constraint>), FormulaError> {
        let plan = &self.record.plan;
        let mut terms = vec![symbols.context().constant(weights.constant)];
        let mut constraints = Vec::new();
        for (number, pool) in plan.pools.iter().enumerate() {
            let mut calls = Calls::new();
            for (step, weight) in self.record.graph.steps.iter().zip(&weights.steps) {
                if step.pool == number {
                    calls.add(step.features.as_array(), *weight);
                }
            }
            if calls.rows.is_empty() {
                continue;
            }
            let law = Step::of(symbols, pool)?;
            constraints.extend(pool.law.constraints().iter().map(|one| imported(symbols, one)));
            let features: [Expr; StepFeatures::COUNT] =
                law.features.try_into().expect("a law has all features");
            let time = calls.sum(&law.time, &features, "step");
            let doc = format!("weighted time of the {} steps that decided", pool.name);
            terms.push(time.named(format!("{}_steps_time", pool.name), "s", doc));
        }
        let mut calls = Calls::new();
        for (transfer, weight) in self.record.graph.transfers.iter().zip(&weights.transfers) {
            calls.add([transfer.tokens as f64], weight * transfer.stretch);
        }
        if let Some(law) = plan.transfer.as_ref().filter(|_| !calls.rows.is_empty()) {
            symbols.values.extend(law.values().iter());
            let time = symbols.import(law.time());
            let tokens = symbols.import(law.tokens());
            let time = calls.sum(&time, &[tokens], "piece");
            terms.push(time.named("transfers_time", "s", "weighted time of the KV transfers"));
        }
        Ok((terms.into_iter().sum(), constraints))
    }
}
