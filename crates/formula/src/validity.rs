//! How far a formula was found to be from simulation.

use std::path::Path;

use serde::Serialize;
use sglsim_engine::{Deployment, EngineError, Scenario, Simulation};
use sglsim_expr::{Expr, Sort, Symbol, Values};

use crate::{Formula, FormulaError, Level};

/// The distance of a formula from simulations of a design of experiments around its scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// Points that were simulated.
    pub points: usize,
    /// Points of the design that cannot be: they break a constraint, or the run fails.
    pub infeasible: usize,
    /// Median of |formula / simulation − 1|.
    pub median: f64,
    /// Its 90th percentile.
    pub p90: f64,
    /// formula / simulation − 1 where it is largest.
    pub worst: f64,
    /// What differs from the scenario there.
    pub worst_at: Values,
}

/// One point of the design: what differs, for the formula and for the scenario.
struct Point {
    values: Values,
    changes: Vec<(String, f64)>,
}

/// How far parameters of a run are moved, up or down, at most.
const SPREAD: f64 = 0.25;

/// Points that are looked at for each one that is wanted.
const TRIES: usize = 20;

/// Bases of the Halton sequence.
const PRIMES: [u32; 16] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53];

impl Formula {
    /// Simulates `points` configurations around the scenario and notes in [`Formula::measured`], and in
    /// the documentation of every export, how far the formula is from them. `done` is called after
    /// each simulation.
    ///
    /// A formula of the configuration keeps what was frozen, and half, the same or twice of each
    /// setting is tried. A formula of a run is tried with its real parameters up to 25 % lower or
    /// higher. The points are a Halton sequence, so they are the same each time.
    ///
    /// # Errors
    ///
    /// [`FormulaError::NotMeasurable`] if no run has the metric, or no point of the design can be.
    pub fn measure(
        &mut self,
        scenario: &Scenario,
        folder: &Path,
        points: usize,
        mut done: impl FnMut(),
    ) -> Result<(), FormulaError> {
        if !self.metric.is_of_run() {
            return Err(FormulaError::NotMeasurable { metric: self.metric });
        }
        let axes = self.axes(scenario);
        let mut errors: Vec<(f64, Values)> = Vec::new();
        let mut infeasible = 0;
        for number in 1..=points * TRIES {
            if errors.len() == points {
                break;
            }
            let point = self.point(&axes, number);
            let Ok(computed) = self.evaluate(&point.values) else {
                infeasible += 1;
                continue;
            };
            match self.simulate(scenario, folder, &point) {
                Some(simulated) if simulated > 0.0 => {
                    errors.push((computed / simulated - 1.0, point.values));
                }
                _ => infeasible += 1,
            }
            done();
        }
        errors.sort_by(|(a, _), (b, _)| a.abs().total_cmp(&b.abs()));
        let at = |share: usize| errors.get((errors.len().max(1) - 1) * share / 100);
        let (Some((median, _)), Some((p90, _)), Some((worst, worst_at))) =
            (at(50), at(90), errors.last())
        else {
            return Err(FormulaError::NotMeasurable { metric: self.metric });
        };
        let measured = Measured {
            points: errors.len(),
            infeasible,
            median: median.abs(),
            p90: p90.abs(),
            worst: *worst,
            worst_at: worst_at.clone(),
        };
        self.module.doc += &format!(" {measured}");
        self.measured = Some(measured);
        Ok(())
    }

    /// What is varied.
    fn axes(&self, scenario: &Scenario) -> Vec<Symbol> {
        let symbols: Vec<Symbol> = match self.level {
            Level::Run => self.module.objective.free_symbols(),
            _ => self.module.variables.iter().filter_map(Expr::as_symbol).collect(),
        };
        let mut axes: Vec<Symbol> = (symbols.into_iter())
            .filter(|symbol| match self.level {
                Level::Run => symbol.sort == Sort::Real,
                _ => path(&symbol.name, scenario).is_some() && self.is_set(&symbol.name),
            })
            .collect();
        axes.truncate(PRIMES.len());
        axes
    }

    /// Whether a cap is one.
    fn is_set(&self, name: &str) -> bool {
        self.module.values.get(name).is_some_and(|value| value < crate::pool::NO_LIMIT)
    }

    fn point(&self, axes: &[Symbol], number: usize) -> Point {
        let mut point = Point { values: Values::new(), changes: Vec::new() };
        for (symbol, base) in axes.iter().zip(PRIMES) {
            let now = self.module.values.get(&symbol.name).unwrap_or_default();
            let at = halton(number, base);
            let value = match self.level {
                Level::Run => now * (1.0 + SPREAD * (2.0 * at - 1.0)),
                _ if at < 1.0 / 3.0 => (now / 2.0).floor().max(1.0),
                _ if at < 2.0 / 3.0 => now,
                _ => now * 2.0,
            };
            let value = symbol.domain.map_or(value, |(low, high)| value.clamp(low, high));
            point.values.insert(symbol.name.as_str(), value);
            if value != now {
                point.changes.push((symbol.name.clone(), value));
            }
        }
        point
    }

    /// The metric of a run at a point; `None` if there is no such run.
    fn simulate(&self, scenario: &Scenario, folder: &Path, point: &Point) -> Option<f64> {
        let run = || -> Result<_, EngineError> {
            let mut scenario = scenario.clone();
            if self.level == Level::Run {
                return Simulation::in_folder(scenario, folder)?.parameters(&point.values)?.run();
            }
            for (name, value) in &point.changes {
                if let Some(path) = path(name, &scenario) {
                    scenario = scenario.with(&path, &value.to_string())?;
                }
            }
            Simulation::in_folder(scenario, folder)?.run()
        };
        self.metric.reported(&run().ok()?)
    }
}

/// The field of a scenario that a knob is.
fn path(knob: &str, scenario: &Scenario) -> Option<String> {
    let pooled = matches!(scenario.deployment, Deployment::Disaggregated { .. });
    let field = match (knob, pooled) {
        ("N", false) => "workers".to_owned(),
        ("N_p", true) => "prefill.workers".to_owned(),
        ("N_d", true) => "decode.workers".to_owned(),
        (_, false) => knob.to_owned(),
        (_, true) => {
            let (pool, field) = knob.split_once('_')?;
            format!("{pool}.{field}")
        }
    };
    Some(format!("deployment.{field}"))
}

/// Element `number` of the van der Corput sequence in a base, in \[0, 1).
fn halton(mut number: usize, base: u32) -> f64 {
    let (mut value, mut place) = (0.0, 1.0);
    while number > 0 {
        place /= f64::from(base);
        value += place * (number % base as usize) as f64;
        number /= base as usize;
    }
    value
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Measured on {} simulations around the scenario: median error {:.1} %, 90 % of them within \
             {:.1} %, worst {:+.1} %",
            self.points,
            100.0 * self.median,
            100.0 * self.p90,
            100.0 * self.worst
        )?;
        let at: Vec<String> =
            self.worst_at.iter().take(6).map(|(name, value)| format!("{name} = {value}")).collect();
        if !at.is_empty() {
            write!(
                f,
                " (at {}{})",
                at.join(", "),
                if self.worst_at.len() > 6 { ", …" } else { "" }
            )?;
        }
        f.write_str(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halton_points_are_spread() {
        let points: Vec<f64> = (1..=4).map(|number| halton(number, 2)).collect();
        assert_eq!(points, [0.5, 0.25, 0.75, 0.125]);
        assert!((halton(5, 3) - (2.0 / 3.0 + 1.0 / 9.0)).abs() < 1e-15);
    }
}
