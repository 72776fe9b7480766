//! The regime of a configuration, as a planner reads it.

use std::fmt;

use super::distance::Watch;
use super::{ActiveArm, Decisions, brief};
use crate::{Dimension, Expr, ExprError, Module, Values};

/// What decides at a configuration, and how far each symbol can go until something else does.
///
/// Printed, it is the value, one line for each decision, the constraints that are not met, and a
/// table of the symbols.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RegimeReport {
    /// Name of the objective.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// What it measures, if known.
    pub dimension: Option<Dimension>,
    /// The decisions that lead to it, outermost first, as [`Module::active_arms`].
    pub decisions: Vec<ActiveArm>,
    /// Constraints that are not met.
    pub violated: Vec<String>,
    /// What each symbol of the objective does, in order of declaration.
    pub symbols: Vec<Reaction>,
}

/// How the objective and its regime react to one symbol.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reaction {
    /// The symbol.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Percent of change per percent, as [`Sensitivity::elasticity`](crate::Sensitivity::elasticity).
    pub elasticity: Option<f64>,
    /// Whether it also acts through steps, which the elasticity does not see.
    pub steps: bool,
    /// What changes first when it falls.
    pub down: Reach,
    /// What changes first when it rises.
    pub up: Reach,
}

/// How far a symbol can go, the others as they are.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reach {
    /// From this value on something else decides, or a constraint changes.
    Change {
        /// The nearest value on the other side, for a real symbol to nine digits.
        at: f64,
        /// What decides, or the constraint.
        decides: String,
        /// What it is now.
        from: String,
        /// What it becomes.
        to: String,
    },
    /// Nothing changes, proven up to this value: the end of the domain, or a thousand times further.
    Same {
        /// How far was looked.
        until: f64,
    },
    /// Nothing changes up to this value; further was not looked.
    Unknown {
        /// How far was looked.
        until: f64,
    },
}

impl Module {
    /// The regime at a point: what decides, what each symbol does, how far the next change is. What
    /// is not in `values` has the module's own value.
    ///
    /// Distances are proven by bounds over the way, not sampled. What counts as a change is one of a
    /// decision that [`Module::active_arms`] tells, of how many terms the sums have that it looks
    /// into, or of a constraint.
    ///
    /// ```
    /// use sglsim_expr::{Context, Module, Values};
    /// let text = r#"
    /// module pools
    /// variable np: int in [1, 64] = 8  "prefill workers"
    /// variable nd: int in [1, 64] = 2  "decode workers"
    /// parameter step: real > 0 [s] = 0.06
    /// part prefill = 30 [1/s] * np
    /// part decode = 3 * nd / step
    /// part rate = min(prefill, decode)
    /// objective requests = rate
    /// constraint gpus: 8 * (np + nd) <= 96
    /// "#;
    /// let report = Module::parse(&Context::new(), text)?.regime(&Values::new())?;
    /// assert_eq!(report.to_string(), "\
    /// requests = 100 1/s
    ///   rate: min decode (100), 140.0 % before prefill (240)
    /// all constraints are met
    ///
    /// symbol  value  elasticity  down                           up
    /// np          8        0.00  3: rate decode -> prefill      11: gpus met -> violated
    /// nd          2        1.00  same to 1                      5: rate decode -> prefill
    /// step     0.06       -1.00  0.025: rate decode -> prefill  same to 61.5
    /// ");
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Module::evaluate`].
    pub fn regime(&self, values: &Values) -> Result<RegimeReport, ExprError> {
        let point = self.point(values)?;
        let value = self.objective.evaluate(&point)?;
        let violated = self.violated(values)?.into_iter().map(str::to_owned).collect();
        let holds: Vec<&Expr> =
            self.constraints.iter().map(|constraint| &constraint.holds).collect();
        let decisions = Decisions::of(&self.objective, &holds, &point)?;
        let sensitivities = self.sensitivities(values)?;
        let (cx, roots) = self.roots()?;
        let (symbols, dimension) = {
            let arena = cx.lock();
            (arena.symbols_of(&roots), arena.known(roots.objective).dimension())
        };
        let inputs: Vec<&str> = symbols.iter().map(|(_, symbol)| symbol.name.as_str()).collect();
        // A variable that occurs nowhere may have no value; nothing depends on it.
        let at: Vec<f64> = inputs.iter().map(|name| point.get(name).unwrap_or(0.0)).collect();
        let names: Vec<&str> = self.constraints.iter().map(|c| c.name.as_str()).collect();
        let mut watch = Watch::new(&decisions, &names, (&inputs, &at))?;
        let mut reactions = Vec::with_capacity(sensitivities.len());
        for sensitivity in sensitivities {
            let found = symbols.iter().position(|(_, symbol)| symbol.name == sensitivity.name);
            let Some(position) = found else { continue };
            let symbol = &symbols[position].1;
            reactions.push(Reaction {
                down: watch.reach(position, symbol, false),
                up: watch.reach(position, symbol, true),
                name: sensitivity.name,
                value: sensitivity.value,
                elasticity: sensitivity.elasticity,
                steps: sensitivity.steps,
            });
        }
        Ok(RegimeReport {
            name: self.objective_name.clone(),
            value,
            dimension,
            decisions: decisions.told(),
            violated,
            symbols: reactions,
        })
    }
}

impl fmt::Display for RegimeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.dimension.filter(|unit| *unit != Dimension::PURE);
        write!(f, "{} = {}", self.name, brief(self.value))?;
        writeln!(f, "{}", unit.map_or_else(String::new, |unit| format!(" {unit}")))?;
        for decision in &self.decisions {
            writeln!(f, "  {decision}")?;
        }
        match self.violated.as_slice() {
            [] => writeln!(f, "all constraints are met")?,
            violated => writeln!(f, "not met: {}", violated.join(", "))?,
        }
        let head = ["symbol", "value", "elasticity", "down", "up"].map(str::to_owned);
        let rows = self.symbols.iter().map(|symbol| {
            // Adding 0 makes 0 of −0.
            let rounded = |e: f64| (e * 100.0).round() / 100.0 + 0.0;
            let elasticity =
                symbol.elasticity.map_or_else(|| "-".to_owned(), |e| format!("{:.2}", rounded(e)));
            let steps = if symbol.steps { "*" } else { "" };
            [
                symbol.name.clone(),
                brief(symbol.value),
                elasticity + steps,
                symbol.down.to_string(),
                symbol.up.to_string(),
            ]
        });
        let rows: Vec<[String; 5]> = [head].into_iter().chain(rows).collect();
        let widths: [usize; 4] = std::array::from_fn(|k| {
            rows.iter().map(|row| row[k].chars().count()).max().unwrap_or(0)
        });
        writeln!(f)?;
        for [name, value, elasticity, down, up] in &rows {
            let [a, b, c, d] = widths;
            writeln!(f, "{name:a$}  {value:>b$}  {elasticity:>c$}  {down:d$}  {up}")?;
        }
        if self.symbols.iter().any(|symbol| symbol.steps) {
            writeln!(f, "* also acts through steps, which an elasticity does not see")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Change { at, decides, from, to } => {
                let [decides, from, to] = [decides, from, to].map(|text| short(text));
                write!(f, "{}: {decides} {from} -> {to}", brief(*at))
            }
            Reach::Same { until } => write!(f, "same to {}", brief(*until)),
            Reach::Unknown { until } => write!(f, "same to {}, then unknown", brief(*until)),
        }
    }
}

/// A name, or the beginning of a long text.
fn short(text: &str) -> String {
    match text.char_indices().nth(32) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
