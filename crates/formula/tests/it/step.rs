//! The step law: what a formula says is what the engine ran.

use std::sync::{Arc, Mutex};

use serde_json::json;
use sglsim_engine::{Event, Observer, Scenario, SimTime, Simulation, StepFeatures, WorkerId};
use sglsim_expr::Values;
use sglsim_formula::{Formula, Metric};

use crate::python;
use crate::scenarios::{DISAGGREGATED, DP_ATTENTION, mixed, plan, scenario};

/// One step: worker, what its cost was computed from, what it cost \[s\].
type Step = (WorkerId, StepFeatures, f64);

#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<Step>>>);

impl Observer for Recorder {
    fn on_event(&mut self, _at: SimTime, event: &Event<'_>) {
        if let Event::Step { worker, cost, features, .. } = *event {
            self.0.lock().unwrap().push((worker, *features, cost.get()));
        }
    }
}

/// All steps of a run, apart for each pool, with the metric that is their formula.
fn steps(scenario: &Scenario) -> Vec<(Metric, Vec<Step>)> {
    let recorder = Recorder::default();
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let report = simulation.observer(Box::new(recorder.clone())).run().unwrap();
    assert_eq!(report.completed, 1000);
    let steps = recorder.0.lock().unwrap().clone();
    let plan = plan(scenario);
    match plan.pools.as_slice() {
        [_] => vec![(Metric::StepTime, steps)],
        [prefill, _] => {
            let first_decode = WorkerId(prefill.workers);
            let (prefill, decode) =
                steps.into_iter().partition(|(worker, ..)| *worker < first_decode);
            vec![(Metric::PrefillStepTime, prefill), (Metric::DecodeStepTime, decode)]
        }
        _ => unreachable!(),
    }
}

fn cases() -> [Scenario; 2] {
    [
        scenario("Llama-3.1-8B", DISAGGREGATED, &mixed("Poisson(rate: 20.0)", 1000)),
        scenario("DeepSeek-V3", DP_ATTENTION, &mixed("Poisson(rate: 20.0)", 1000)),
    ]
}

/// ENGINE-6: a step costs what the step law says, to the last bit; and the formula, which is the law
/// before it is bound and simplified, says the same.
#[test]
fn every_step_costs_what_the_law_says() {
    for scenario in cases() {
        let plan = plan(&scenario);
        for (pool, (metric, steps)) in plan.pools.iter().zip(steps(&scenario)) {
            assert!(steps.len() > 300, "{metric}: {} steps", steps.len());
            let mut law = pool.law.compile().unwrap();
            let formula = Formula::of_step(&plan, metric).unwrap();
            let scope = metric.name().strip_suffix("step_time").unwrap();
            let names = StepFeatures::NAMES.map(|name| format!("{scope}{name}"));
            let names = names.each_ref().map(String::as_str);
            let given = formula.module.values.iter().filter(|(name, _)| !names.contains(name));
            let formula = formula.module.objective.bind(&given.collect());
            let mut formula = formula.compile(&names).unwrap().evaluator();
            for (_, features, cost) in steps {
                let got = law.seconds(&features);
                assert_eq!(got.to_bits(), cost.to_bits(), "{metric} at {features:?}");
                let got = formula.eval1(&features.as_array());
                python::close(got, cost, &format!("{metric} at {features:?}"));
            }
        }
    }
}

/// The same, by SymPy.
#[test]
fn every_step_costs_what_sympy_says() {
    for scenario in cases() {
        let plan = plan(&scenario);
        for (metric, steps) in steps(&scenario) {
            let formula = Formula::of_step(&plan, metric).unwrap();
            let scope = metric.name().strip_suffix("step_time").unwrap();
            let points: Vec<_> = (steps.iter())
                .map(|(_, features, _)| {
                    let named = StepFeatures::NAMES.iter().zip(features.as_array());
                    named.map(|(name, value)| (format!("{scope}{name}"), value)).collect::<Values>()
                })
                .collect();
            let source = formula.to_sympy().unwrap();
            let Some(answers) = python::evaluate(&source, json!(points)) else { return };
            assert_eq!(answers.values.len(), steps.len());
            for ((_, features, cost), got) in steps.iter().zip(answers.values) {
                python::close(got, *cost, &format!("{metric} at {features:?}"));
            }
        }
    }
}
