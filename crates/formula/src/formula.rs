//! The formula of a metric: how it is made, bound and exported.

use serde_json::{Value, json};
use sglsim_engine::{DeploymentPlan, PoolPlan};
use sglsim_expr::{Constraint, Expr, Module, Symbol, Values};
use sglsim_kernels::{RankFeatures, StepFeatures};
use sglsim_units::Nearest;

use crate::frozen::{Frozen, Parameter};
use crate::pool::{Step, imported, scope};
use crate::request::Request;
use crate::symbols::Symbols;
use crate::{FormulaError, Level, Measured, Metric, steady};

/// A metric of a deployment as a function of its configuration.
///
/// The symbols that may be decided are the module's variables: `N_p`, `N_d` (or `N`), and under the
/// scope of each pool (`prefill_`, `decode_`, or nothing) `tp_size`, `dp_size`, `ep_size`,
/// `chunked_prefill_size`, `max_running_requests`, `max_total_tokens`. All other symbols (the
/// workload's means, hardware, law coefficients) are parameters with the scenario's values.
///
/// ```
/// use sglsim_engine::{DeploymentPlan, Scenario};
/// use sglsim_expr::Values;
/// use sglsim_formula::{Formula, Frozen, Load, Metric};
///
/// let scenario = Scenario::from_ron(r#"(
///     model: "Llama-3.1-8B",
///     hardware: (gpu: "H100-SXM"),
///     deployment: Disaggregated(prefill: (workers: 1), decode: (workers: 1)),
///     workload: Synthetic(
///         arrivals: Burst,
///         input_len: Fixed(2000),
///         output_len: Fixed(100),
///         requests: 100,
///     ),
/// )"#)?;
/// let plan = DeploymentPlan::of(&scenario, ".".as_ref())?;
/// let frozen = Frozen::assumed(2000.0, 0.0, 100.0, Load::Unlimited)?;
/// let formula = Formula::of(&plan, Metric::OutputThroughput, &frozen)?;
///
/// // Prefill is the bottleneck, so a second prefill worker doubles the throughput.
/// let one = formula.evaluate(&Values::new())?;
/// let two = formula.evaluate(&Values::from([("N_p", 2.0)]))?;
/// assert!((two / one - 2.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Formula {
    /// The metric.
    pub metric: Metric,
    /// How much of the deployment it describes.
    pub level: Level,
    /// The function, its variables, its constraints and the values of all symbols.
    pub module: Module,
    /// Which of the values a run measured.
    pub frozen: Vec<Parameter>,
    /// Where the frozen values come from, empty if there are none.
    pub source: String,
    /// What the formula takes for granted.
    pub validity: &'static str,
    /// How far it was found to be from simulation; see [`Formula::measure`].
    pub measured: Option<Measured>,
}

impl Formula {
    /// The formula of a metric, with the workload as `frozen` says.
    ///
    /// For the time of a step `frozen` does not matter; [`Formula::of_step`] does without.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Unavailable`] if the deployment has no such metric.
    pub fn of(
        plan: &DeploymentPlan,
        metric: Metric,
        frozen: &Frozen,
    ) -> Result<Self, FormulaError> {
        use Metric::*;
        let drafts = plan.pools.iter().any(|pool| pool.speculation.is_some());
        let staged = plan.pools.iter().any(|pool| pool.plan.pp_size > 1);
        if metric.needs_run() && (drafts || staged) {
            return Err(FormulaError::Unavailable {
                metric,
                deployment: if drafts {
                    "a deployment with speculative decoding yet"
                } else {
                    "a deployment with pipeline stages yet"
                },
                instead: match plan.pools.len() {
                    1 => "`step_time`",
                    _ => "`prefill_step_time` or `decode_step_time`",
                },
            });
        }
        let mut symbols = Symbols::new();
        let (value, constraints, validity) = match metric {
            StepTime | PrefillStepTime | DecodeStepTime => return Self::of_step(plan, metric),
            _ if metric.level() == Level::Run => return Err(FormulaError::OnlyOfARun { metric }),
            Ttft | Itl | E2eLatency | TransferTime => {
                let request = Request::of(&mut symbols, plan, frozen)?;
                (request.latency(metric)?, request.constraints, REQUEST)
            }
            _ => {
                let found = steady::steady(&mut symbols, plan, metric, frozen)?;
                let is_latency = matches!(metric, MeanItl | Latency(..));
                (found.value, found.constraints, if is_latency { LATENCY } else { STEADY })
            }
        };
        let mut formula = Self::assemble(metric, symbols, &value, constraints, validity)?;
        let used = formula.occurring();
        let is_used =
            |parameter: &Parameter| used.iter().any(|symbol| symbol.name == parameter.symbol.name);
        formula.frozen = frozen.parameters().into_iter().filter(is_used).collect();
        formula.source.clone_from(&frozen.source);
        Ok(formula)
    }

    /// The time of a step as a function of its features: what the engine runs, before it is bound
    /// and compiled. The features are variables; their values are those of a step with one prompt
    /// of a whole chunk, or for a decode worker of a step with one sequence of 1024 tokens.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Unavailable`] if the deployment has no such pool, or the metric is none of a
    /// step.
    pub fn of_step(plan: &DeploymentPlan, metric: Metric) -> Result<Self, FormulaError> {
        let pool = match (metric, plan.pools.as_slice()) {
            (Metric::StepTime, [one]) => one,
            (Metric::PrefillStepTime, [prefill, _]) => prefill,
            (Metric::DecodeStepTime, [_, decode]) => decode,
            (_, [_]) => {
                return Err(FormulaError::Unavailable {
                    metric,
                    deployment: "a step of an aggregated deployment",
                    instead: "`step_time`",
                });
            }
            _ => {
                return Err(FormulaError::Unavailable {
                    metric,
                    deployment: "a step of a disaggregated deployment",
                    instead: "`prefill_step_time` or `decode_step_time`",
                });
            }
        };
        let mut symbols = Symbols::new();
        let law = Step::of(&mut symbols, pool)?;
        law.decide_sizes(&mut symbols);
        let example = example_step(pool);
        let named = StepFeatures::NAMES.iter().zip(example.as_array());
        for (feature, (name, value)) in law.features.iter().zip(named) {
            symbols.decide(feature);
            symbols.values.insert(format!("{}{name}", scope(pool)), value);
        }
        let given = pool.law.constraints().iter();
        let constraints = given.map(|constraint| imported(&symbols, constraint)).collect();
        Self::assemble(metric, symbols, &law.time, constraints, STEP)
    }

    pub(crate) fn assemble(
        metric: Metric,
        symbols: Symbols,
        value: &Expr,
        constraints: Vec<Constraint>,
        validity: &'static str,
    ) -> Result<Self, FormulaError> {
        let value = value.named(metric.name(), metric.unit(), metric.doc());
        value.check()?;
        let mut module = Module::new(metric.name(), metric.name(), value)
            .doc(format!("{} {validity}", metric.doc()));
        module.variables = symbols.knobs;
        module.constraints = constraints;
        module.values = symbols.values;
        let mut formula = Self {
            metric,
            level: metric.level(),
            module,
            frozen: Vec::new(),
            source: String::new(),
            validity,
            measured: None,
        };
        formula.drop_unused_values();
        Ok(formula)
    }

    /// The formula with only these symbols to decide; the other knobs are bound to their values.
    /// Parameters may be named, too: bandwidth, a coefficient, the mean output length.
    ///
    /// # Errors
    ///
    /// [`FormulaError::UnknownKnob`] with the closest name and all there are.
    pub fn with_knobs(mut self, names: &[&str]) -> Result<Self, FormulaError> {
        let name_of = |symbol: &Expr| symbol.name().unwrap_or_default();
        let old: Vec<String> = self.module.variables.iter().map(name_of).collect();
        let all = self.symbols();
        let mut variables = Vec::new();
        for name in names {
            let Some(symbol) = all.iter().find(|symbol| symbol.name == *name) else {
                let known = all.iter().map(|symbol| symbol.name.clone());
                return Err(FormulaError::UnknownKnob {
                    name: (*name).to_owned(),
                    hint: Nearest::to(name, all.iter().map(|symbol| symbol.name.as_str())),
                    parameters: known.filter(|name| !old.contains(name)).collect(),
                    knobs: old,
                });
            };
            variables.push(self.module.objective.context().symbol(symbol.clone())?);
        }
        let bound: Values = (old.iter())
            .filter(|name| !names.contains(&name.as_str()))
            .filter_map(|name| Some((name.clone(), self.module.values.get(name)?)))
            .collect();
        let module = &mut self.module;
        module.objective = module.objective.bind(&bound);
        for constraint in &mut module.constraints {
            constraint.holds = constraint.holds.bind(&bound);
        }
        module.objective.check()?;
        module.variables = variables;
        // What only concerned knobs that are bound is settled.
        let truth = module.objective.context().truth(true);
        module.constraints.retain(|constraint| constraint.holds != truth);
        self.drop_unused_values();
        Ok(self)
    }

    /// The value at a point; what is not in `values` has the scenario's value.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Infeasible`] with the constraints that the point breaks: what cannot be has no
    /// value. [`FormulaError::Expr`] for an unknown name or a value out of its domain.
    pub fn evaluate(&self, values: &Values) -> Result<f64, FormulaError> {
        let broken = self.violated(values)?;
        if broken.is_empty() {
            return Ok(self.module.evaluate(values)?);
        }
        let told = self.module.constraints.iter().filter(|one| broken.contains(&one.name.as_str()));
        let constraints = told.map(|one| format!("{} ({})", one.name, one.doc)).collect();
        Err(FormulaError::Infeasible { constraints })
    }

    /// Names of the constraints that a configuration breaks.
    ///
    /// # Errors
    ///
    /// As [`Formula::evaluate`].
    pub fn violated(&self, values: &Values) -> Result<Vec<&str>, FormulaError> {
        Ok(self.module.violated(values)?)
    }

    /// What a configuration must obey.
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.module.constraints
    }

    /// A Python module with the formula in SymPy.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Expr`] if it cannot be written.
    pub fn to_sympy(&self) -> Result<String, FormulaError> {
        Ok(self.module.to_sympy()?)
    }

    /// The formula in LaTeX: an equation for each named part.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Expr`] if it cannot be written.
    pub fn to_latex(&self) -> Result<String, FormulaError> {
        Ok(self.module.to_latex()?)
    }

    /// As JSON: `metric`, `value` (null if a constraint is broken), `unit`, the `expression` (as [`Module::from_json`] reads it),
    /// `variables`, `values`, `constraints`, `frozen`, `validity`.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Expr`] if it cannot be evaluated.
    pub fn to_json(&self) -> Result<Value, FormulaError> {
        let broken = self.violated(&Values::new())?;
        let value = match broken.as_slice() {
            [] => Some(self.module.evaluate(&Values::new())?),
            _ => None,
        };
        let described = |symbol: &Symbol, value: Option<f64>| {
            json!({
                "name": symbol.name,
                "sort": symbol.sort,
                "domain": symbol.domain,
                "value": value,
                "unit": symbol.unit,
                "doc": symbol.doc,
            })
        };
        let variables: Vec<Value> = (self.module.variables.iter())
            .filter_map(Expr::as_symbol)
            .map(|symbol| described(&symbol, self.module.values.get(&symbol.name)))
            .collect();
        let frozen: Vec<Value> = (self.frozen.iter())
            .map(|parameter| described(&parameter.symbol, Some(parameter.value)))
            .collect();
        let constraints: Vec<Value> = (self.module.constraints.iter())
            .map(|constraint| {
                let holds = !broken.contains(&constraint.name.as_str());
                json!({ "name": constraint.name, "doc": constraint.doc, "holds": holds })
            })
            .collect();
        Ok(json!({
            "format": { "name": "sglsim-formula", "version": 1 },
            "metric": self.metric.name(),
            "level": self.level.name(),
            "doc": self.metric.doc(),
            "value": value,
            "unit": self.metric.unit(),
            "variables": variables,
            "values": self.module.values,
            "constraints": constraints,
            "frozen": frozen,
            "frozen_from": self.source,
            "validity": self.validity,
            "measured": self.measured,
            "expression": self.module.to_json()?,
        }))
    }

    /// All its symbols: variables first, each with its declaration.
    fn symbols(&self) -> Vec<Symbol> {
        let mut all: Vec<Symbol> =
            self.module.variables.iter().filter_map(Expr::as_symbol).collect();
        for symbol in self.occurring() {
            if !all.contains(&symbol) {
                all.push(symbol);
            }
        }
        all
    }

    /// The symbols that the function or a constraint depends on.
    fn occurring(&self) -> Vec<Symbol> {
        let mut all: Vec<Symbol> = self.module.objective.free_symbols();
        for constraint in &self.module.constraints {
            for symbol in constraint.holds.free_symbols() {
                if !all.contains(&symbol) {
                    all.push(symbol);
                }
            }
        }
        all
    }

    fn drop_unused_values(&mut self) {
        let used = self.symbols();
        let values = std::mem::take(&mut self.module.values);
        let is_used = |name: &str| used.iter().any(|symbol| symbol.name == name);
        self.module.values = values.into_iter().filter(|(name, _)| is_used(name)).collect();
    }
}

const STEP: &str = "Exact: the engine runs the same expression, compiled.";

const REQUEST: &str = "Exact on an idle system, where one request has the deployment to itself. \
    With pages of several tokens, exact if the chunk of a rank is a whole number of pages.";

pub(crate) const RUN: &str = "Of one simulated run with its decisions frozen: exact at the run's own \
    values, with the derivatives of the simulation there; elsewhere batches, routes and what decided \
    stay those of the run.";

const STEADY: &str = "A steady state described by means: all ranks equally loaded, batches as \
    full as memory and caps allow, no retraction. Cache hits and lengths are those that were \
    frozen. The largest CUDA graph and the memory reserve for max_running_requests stay the \
    scenario's own. Start-up, drain and queueing delay are not in it.";

const LATENCY: &str = "A steady state described by means, two lengths of prompts and the variability of \
    arrivals: prompts wait for steps of others, share them, and hold up who decodes. Attention ranks \
    stay the scenario's own. Where requests come faster than they can leave there is no value. Start-up, drain \
    and retraction are not in it.";

/// Features of one step to start from.
fn example_step(pool: &PoolPlan) -> StepFeatures {
    const CONTEXT: u64 = 1024;
    let mut rank = RankFeatures::default();
    if pool.name == "decode" {
        let drafts = pool.speculation.as_ref().map_or(1, |(all, _)| all.num_draft_tokens);
        rank.set_decode(1, 1, CONTEXT, u64::from(drafts));
        rank.eager = pool.cuda_graphs.is_empty();
    } else {
        let chunk = pool.scheduler.chunked_prefill_size;
        let tokens = chunk.unwrap_or(pool.config.max_prefill_tokens);
        rank.add_extend(0, u64::from(tokens));
        rank.eager = true;
    }
    StepFeatures::of_ranks([&rank])
}
