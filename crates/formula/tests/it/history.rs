//! The run level: what a history says is what the report says, and its derivatives are those of the
//! simulation.

use serde_json::json;
use sglsim_engine::{CostModel, Fabric, FifoFabric, Report, Scenario, Simulation, StepFeatures};
use sglsim_expr::Values;
use sglsim_formula::{Formula, FormulaError, History, Metric};

use crate::python;
use crate::scenarios::{AGGREGATED, DISAGGREGATED, DP_ATTENTION, fixed, mixed, scenario};

fn record(scenario: &Scenario) -> (Report, History) {
    History::record(Simulation::new(scenario.clone()).unwrap()).unwrap()
}

fn metric(name: &str) -> Metric {
    name.parse().unwrap()
}

fn value(formula: &Formula) -> f64 {
    formula.evaluate(&Values::new()).unwrap()
}

/// Few slots, so that requests are pushed out of memory.
const TIGHT: &str = "Aggregated(workers: 2, max_total_tokens: Some(20000))";

fn cases(requests: u32) -> Vec<(&'static str, Scenario)> {
    let sessions = format!(
        "Synthetic(arrivals: Poisson(rate: 2.0), input_len: LogNormal(mean: 800, cv: 1.0, max: 8000), \
         output_len: Uniform(min: 1, max: 200), requests: {requests}, \
         sessions: (turns: Uniform(min: 1, max: 4), think: Exponential(mean: 3.0)))"
    );
    let users = "ClosedLoop(concurrency: 48, think: Exponential(mean: 0.5))";
    let bounded = mixed("Poisson(rate: 30.0)", requests);
    let bounded = bounded.replace("Synthetic(", "Synthetic(max_concurrency: Some(40), ");
    // Admission counts on far fewer tokens than these requests will make.
    let eos = format!(
        "Synthetic(arrivals: Poisson(rate: 40.0), input_len: Uniform(min: 50, max: 200), \
         output_len: Uniform(min: 400, max: 800), max_new_tokens: Some(1000), requests: {requests})"
    );
    vec![
        (
            "aggregated",
            scenario("Llama-3.1-8B", AGGREGATED, &mixed("Poisson(rate: 12.0)", requests)),
        ),
        (
            "disaggregated",
            scenario("Llama-3.1-70B", DISAGGREGATED, &mixed("Poisson(rate: 6.0)", requests)),
        ),
        (
            "attention ranks",
            scenario("DeepSeek-V3", DP_ATTENTION, &mixed("Poisson(rate: 20.0)", requests)),
        ),
        ("closed loop", scenario("Llama-3.1-8B", AGGREGATED, &mixed(users, requests))),
        ("at most 40", scenario("Llama-3.1-70B", DISAGGREGATED, &bounded)),
        ("conversations", scenario("Llama-3.1-8B", DISAGGREGATED, &sessions)),
        ("retractions", scenario("Llama-3.1-8B", TIGHT, &eos)),
    ]
}

const METRICS: [&str; 14] = [
    "duration",
    "output_throughput",
    "total_throughput_per_gpu",
    "request_throughput",
    "mean_ttft",
    "p50_ttft",
    "p99_ttft",
    "mean_tpot",
    "p90_tpot",
    "mean_itl",
    "mean_e2e_latency",
    "max_e2e_latency",
    "p95_queue_time",
    "mean_transfer_time",
];

/// FORMULA-1: the formula of a run's metric has the value of its report.
#[test]
fn formulas_of_a_run_are_its_report() {
    for (name, scenario) in cases(2000) {
        let (report, history) = record(&scenario);
        assert_eq!(report.completed, 2000, "{name}");
        assert_eq!(report.retractions > 0, name == "retractions", "{name}: {}", report.retractions);
        for metric in METRICS.map(metric) {
            let formula = match history.formula(metric) {
                Err(FormulaError::EmptySample { .. }) if scenario_is_aggregated(&scenario) => {
                    assert_eq!(metric.name(), "mean_transfer_time", "{name}");
                    continue;
                }
                other => other.unwrap(),
            };
            let want = reported(&report, metric.name());
            let got = value(&formula);
            assert!((got - want).abs() <= 1e-9 * want, "{name}, {metric}: {got:e}, not {want:e}");
            let by_history = history.value(metric).unwrap();
            assert!((by_history - want).abs() <= 1e-9 * want, "{name}, {metric}");
            let (steps, deciding) = history.deciding_steps(metric).unwrap();
            if metric.name() == "output_throughput" || metric.name() == "mean_ttft" {
                println!(
                    "{name}, {metric}: {deciding} of {steps} steps decide, {} nodes",
                    formula.module.objective.size()
                );
            }
        }
    }
}

fn scenario_is_aggregated(scenario: &Scenario) -> bool {
    matches!(scenario.deployment, sglsim_engine::Deployment::Aggregated(_))
}

/// What the report says, written apart from the library's own reading of it.
fn reported(report: &Report, name: &str) -> f64 {
    match name {
        "duration" => report.duration.get(),
        "output_throughput" => report.output_throughput(),
        "total_throughput_per_gpu" => report.total_throughput() / f64::from(report.gpus),
        "request_throughput" => report.request_throughput(),
        "mean_ttft" => report.ttft.mean,
        "p50_ttft" => report.ttft.p50,
        "p99_ttft" => report.ttft.p99,
        "mean_tpot" => report.tpot.mean,
        "p90_tpot" => report.tpot.p90,
        "mean_itl" => report.itl.mean,
        "mean_e2e_latency" => report.e2e.mean,
        "max_e2e_latency" => report.e2e.max,
        "p95_queue_time" => report.queue_time.p95,
        "mean_transfer_time" => report.transfer_time.mean,
        other => panic!("no `{other}`"),
    }
}

/// Features of all steps, in order: what was decided.
fn decisions(scenario: &Scenario, values: &Values) -> (Report, Vec<[u64; StepFeatures::COUNT]>) {
    use std::sync::{Arc, Mutex};

    #[derive(Debug)]
    struct Steps(Arc<Mutex<Vec<[u64; StepFeatures::COUNT]>>>);

    impl sglsim_engine::Observer for Steps {
        fn on_event(&mut self, _at: sglsim_engine::SimTime, event: &sglsim_engine::Event<'_>) {
            if let sglsim_engine::Event::Step { features, .. } = event {
                self.0.lock().unwrap().push(features.as_array().map(f64::to_bits));
            }
        }
    }

    let steps = Arc::new(Mutex::new(Vec::new()));
    let simulation = Simulation::new(scenario.clone()).unwrap().parameters(values).unwrap();
    let report = simulation.observer(Box::new(Steps(Arc::clone(&steps)))).run().unwrap();
    let steps = std::mem::take(&mut *steps.lock().unwrap());
    (report, steps)
}

/// FORMULA-2: where the decisions do not change, the derivative of a run's formula is the slope of the
/// simulation.
#[test]
fn gradients_are_slopes_of_the_simulation() {
    let metrics = ["output_throughput", "mean_ttft", "p90_ttft", "mean_tpot", "mean_e2e_latency"];
    for (name, scenario) in cases(150) {
        let (_, history) = record(&scenario);
        let formulas = metrics.map(|name| history.formula(metric(name)).unwrap());
        let slopes = formulas.each_ref().map(|f| f.module.sensitivities(&Values::new()).unwrap());
        let (_, home) = decisions(&scenario, &Values::new());
        let (mut compared, mut changed, mut worst) = (0, 0, 0.0_f64);
        for (parameter, x) in history.parameters().iter() {
            let elasticity = |at: usize| {
                let found = slopes[at].iter().find(|slope| slope.name == parameter);
                found.and_then(|slope| slope.elasticity).unwrap_or(0.0)
            };
            let real = x.fract() != 0.0 || x > 1e6;
            if !real || (0..metrics.len()).all(|at| elasticity(at).abs() < 1e-4) {
                continue;
            }
            let eps = 1e-6;
            let at = |factor: f64| decisions(&scenario, &Values::from([(parameter, x * factor)]));
            let ((up, steps_up), (down, steps_down)) = (at(1.0 + eps), at(1.0 - eps));
            if steps_up != home || steps_down != home {
                changed += 1;
                continue;
            }
            for (n, metric) in metrics.iter().enumerate() {
                let (up, down) = (measured(&up, metric), measured(&down, metric));
                let slope = (up - down) / (up + down) / eps;
                let error = (elasticity(n) - slope).abs();
                assert!(
                    error <= 0.01 * slope.abs() + 1e-5,
                    "{name}: elasticity of {metric} by {parameter} is {} by the formula, {slope} by \
                     the simulation",
                    elasticity(n)
                );
                worst = worst.max(error);
                compared += 1;
            }
        }
        println!(
            "{name}: {compared} slopes compared, worst by {worst:.1e}; {changed} parameters changed decisions"
        );
        assert!(compared >= 5, "{name}: {compared} compared, {changed} changed decisions");
    }
}

fn measured(report: &Report, name: &str) -> f64 {
    match name {
        "p90_ttft" => report.ttft.p90,
        other => reported(report, other),
    }
}

/// FORMULA-3: a replay decides the maxima anew; a formula is what its own path gives, so that durations
/// and open-loop latencies are never above the replay; where the decisions stay, the replay is the simulation.
#[test]
fn replays_are_no_less_than_formulas_and_equal_simulations_with_the_same_decisions() {
    let (name, scenario) = cases(300).swap_remove(1);
    let (_, history) = record(&scenario);
    let (_, home) = decisions(&scenario, &Values::new());
    for (parameter, factor) in [
        ("prefill_hbm_bandwidth", 0.5),
        ("decode_hbm_bandwidth", 2.0),
        ("decode_host_step_latency", 30.0),
        ("transfer_bandwidth", 0.02),
        ("decode_hbm_bandwidth", 1.0 + 1e-9),
    ] {
        let x = history.parameters().get(parameter).unwrap_or_else(|| {
            panic!("{parameter} is none of {:?}", history.parameters().names().collect::<Vec<_>>())
        });
        let values = Values::from([(parameter, x * factor)]);
        let replayed = history.replay(&values).unwrap();
        for metric in ["duration", "mean_ttft", "p99_ttft", "mean_e2e_latency"].map(metric) {
            let bound = history.formula(metric).unwrap().evaluate(&values).unwrap();
            let exact = replayed.value(metric).unwrap();
            // A percentile of others is no bound; the same requests are compared in means.
            if metric.name() != "p99_ttft" {
                assert!(
                    bound <= exact * (1.0 + 1e-12),
                    "{name} {parameter} {metric}: {bound} > {exact}"
                );
            }
            let there = value(&replayed.formula(metric).unwrap());
            assert!((there / exact - 1.0).abs() < 1e-9, "{metric}: {there}, not {exact}");
        }
        let (report, steps) = decisions(&scenario, &values);
        if steps == home {
            let ttft = replayed.value(metric("mean_ttft")).unwrap();
            assert!((ttft / report.ttft.mean - 1.0).abs() < 1e-9, "{parameter}: {ttft}");
        } else {
            assert!(factor != 1.0 + 1e-9, "so little changed decisions");
        }
    }
}

/// SymPy evaluates the exported run itself.
#[test]
fn a_run_by_sympy_is_the_report() {
    for (name, scenario) in cases(12) {
        let (report, history) = record(&scenario);
        for metric in ["output_throughput", "mean_ttft", "mean_tpot"].map(metric) {
            let formula = history.formula(metric).unwrap();
            let bandwidth =
                formula.module.values.names().find(|name| name.ends_with("hbm_bandwidth"));
            let bandwidth = bandwidth.unwrap().to_owned();
            let points = json!([{}, { &bandwidth: 3.1e12 }]);
            let Some(answers) = python::evaluate(&formula.to_sympy().unwrap(), points) else {
                return;
            };
            let want = reported(&report, metric.name());
            assert!((answers.values[0] / want - 1.0).abs() < 1e-9, "{name} {metric}");
            let there = formula.evaluate(&Values::from([(bandwidth, 3.1e12)])).unwrap();
            python::close(answers.values[1], there, metric.name());
            assert!(there != want);
        }
    }
}

/// A cost that is no law.
#[derive(Debug)]
struct Opaque(bool);

impl CostModel for Opaque {
    fn name(&self) -> &str {
        "a table"
    }

    fn step_seconds(&mut self, step: &StepFeatures) -> f64 {
        1e-3 + 1e-6 * step.tokens
    }

    fn is_law(&self) -> bool {
        self.0
    }
}

#[test]
fn what_is_no_law_has_no_formula() {
    let scenario = scenario("Llama-3.1-8B", AGGREGATED, &fixed("Burst", 100, 5, 20));
    let error = |pretends| {
        let simulation = Simulation::new(scenario.clone()).unwrap();
        let simulation = simulation.cost_model(move |_, _| Box::new(Opaque(pretends)));
        History::record(simulation).unwrap_err().to_string()
    };
    assert!(
        error(false).contains("the steps of the run were costed by `a table`"),
        "{}",
        error(false)
    );
    assert!(error(true).starts_with("no formula is available: the laws of the scenario put at"));

    let (_, history) = record(&scenario);
    let error = history.formula(Metric::Ttft).unwrap_err().to_string();
    assert!(error.starts_with("`ttft` is not defined for a run; ask for `mean_ttft`"), "{error}");
    let error = history.replay(&Values::from([("hbm_bandwith", 1e12)])).unwrap_err().to_string();
    assert!(
        error.ends_with("have no parameter `hbm_bandwith`; did you mean `hbm_bandwidth`?"),
        "{error}"
    );
    let error = history.replay(&Values::from([("hbm_bandwidth", -1.0)])).unwrap_err();
    assert!(matches!(error, FormulaError::Engine(_)), "{error}");
}

/// Links that everybody shares: each piece takes three times as long as alone.
#[derive(Debug)]
struct Slow(FifoFabric);

impl Fabric for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn submit(&mut self, now: sglsim_engine::SimTime, mut flow: sglsim_engine::Flow) {
        flow.alone = flow.alone * 3;
        self.0.submit(now, flow);
    }

    fn peek(&self) -> Option<sglsim_engine::SimTime> {
        self.0.peek()
    }

    fn pop(&mut self) -> Option<sglsim_engine::Delivery> {
        self.0.pop()
    }
}

/// A fabric whose flows share links has frozen shares.
#[test]
fn shared_links_stretch_transfers() {
    let scenario = scenario("Llama-3.1-70B", DISAGGREGATED, &mixed("Poisson(rate: 6.0)", 100));
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let simulation = simulation.fabric(Box::new(Slow(FifoFabric::new())));
    let (report, history) = History::record(simulation).unwrap();
    let ttft = history.formula(metric("mean_ttft")).unwrap();
    assert!((value(&ttft) / report.ttft.mean - 1.0).abs() < 1e-9);
    let by = ttft.module.sensitivities(&Values::new()).unwrap();
    let by_link = by.iter().find(|one| one.name == "transfer_bandwidth").unwrap();
    let (_, alone) = record(&scenario);
    let alone = alone.formula(metric("mean_ttft")).unwrap();
    let alone = alone.module.sensitivities(&Values::new()).unwrap();
    let alone = alone.iter().find(|one| one.name == "transfer_bandwidth").unwrap();
    assert!(by_link.derivative < 2.0 * alone.derivative, "{by_link:?} {alone:?}");
}
