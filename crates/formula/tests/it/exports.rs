//! What a user sees of a formula: knobs, errors, the head of the module, JSON.

use sglsim_engine::{DeploymentPlan, Scenario};
use sglsim_expr::{Context, Module, Values};
use sglsim_formula::{Formula, FormulaError, Frozen, Level, Load, Metric};

use crate::scenarios::{AGGREGATED, DISAGGREGATED, DP_ATTENTION, fixed, mixed, plan, scenario};

fn frozen(load: Load) -> Frozen {
    Frozen::assumed(2000.0, 500.0, 200.0, load).unwrap()
}

fn planned(model: &str, deployment: &str) -> (Scenario, DeploymentPlan) {
    let scenario = scenario(model, deployment, &fixed("Burst", 2000, 200, 10));
    let plan = plan(&scenario);
    (scenario, plan)
}

fn throughput(model: &str, deployment: &str) -> Formula {
    let (_, plan) = planned(model, deployment);
    Formula::of(&plan, Metric::OutputThroughput, &frozen(Load::Unlimited)).unwrap()
}

/// A table of what may be decided and what must hold.
fn table(formula: &Formula) -> String {
    let mut text = String::new();
    for knob in &formula.module.variables {
        let symbol = knob.as_symbol().unwrap();
        let value = formula.module.values.get(&symbol.name).unwrap();
        text += &format!("{:<30} {value:>12} {:<6} {}\n", symbol.name, symbol.unit, symbol.doc);
    }
    text += "subject to\n";
    for constraint in formula.constraints() {
        text += &format!("{:<30} {}\n", constraint.name, constraint.doc);
    }
    text
}

#[test]
fn knobs_of_each_deployment() {
    insta::assert_snapshot!("knobs_aggregated", table(&throughput("Llama-3.1-8B", AGGREGATED)));
    insta::assert_snapshot!(
        "knobs_disaggregated",
        table(&throughput("Llama-3.1-8B", DISAGGREGATED))
    );
    insta::assert_snapshot!("knobs_dp_attention", table(&throughput("DeepSeek-V3", DP_ATTENTION)));
}

#[test]
fn head_of_a_module() {
    let formula = throughput("Llama-3.1-8B", DISAGGREGATED).with_knobs(&["N_p", "N_d"]).unwrap();
    let source = formula.to_sympy().unwrap();
    let from = source.find("objective = ").unwrap();
    let to = source.find("# How the sums").unwrap();
    let doc = source.lines().next().unwrap();
    insta::assert_snapshot!("module", format!("{doc}\n…\n    {}", &source[from..to]));
}

#[test]
fn knobs_that_are_not_named_are_bound() {
    let all = throughput("Llama-3.1-8B", DISAGGREGATED);
    let few = all.clone().with_knobs(&["N_d", "decode_max_running_requests"]).unwrap();
    let value = |formula: &Formula| formula.evaluate(&Values::new()).unwrap();
    assert!((value(&few) / value(&all) - 1.0).abs() < 1e-12);
    let at = Values::from([("N_d", 3.0), ("decode_max_running_requests", 8.0)]);
    let (got, want) = (few.evaluate(&at).unwrap(), all.evaluate(&at).unwrap());
    assert!((got / want - 1.0).abs() < 1e-12);
    assert_eq!(few.module.variables.len(), 2);
    assert!(few.evaluate(&Values::from([("N_p", 2.0)])).is_err());
    assert!(few.constraints().len() < all.constraints().len());
    // A parameter may be decided, too.
    let bandwidth = all.with_knobs(&["decode_hbm_bandwidth"]).unwrap();
    assert_eq!(bandwidth.module.variables.len(), 1);
}

#[test]
fn errors_name_the_nearest() {
    let error = throughput("Llama-3.1-8B", AGGREGATED).with_knobs(&["tp_sise"]).unwrap_err();
    assert!(matches!(&error, FormulaError::UnknownKnob { name, .. } if name == "tp_sise"));
    let text = error.to_string();
    assert!(
        text.starts_with("the formula has no knob `tp_sise`; did you mean `tp_size`? (knobs: N, "),
        "{text}"
    );
    let (_, plan) = planned("Llama-3.1-8B", DISAGGREGATED);
    let error = Formula::of_step(&plan, Metric::StepTime).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`step_time` is not defined for a step of a disaggregated deployment; \
         ask for `prefill_step_time` or `decode_step_time`"
    );
    let (_, plan) = planned("Llama-3.1-8B", AGGREGATED);
    let error = Formula::of(&plan, Metric::TransferTime, &frozen(Load::Unlimited)).unwrap_err();
    assert!(matches!(error, FormulaError::Unavailable { metric: Metric::TransferTime, .. }));
}

#[test]
fn every_metric_has_a_formula_somewhere() {
    let plans = [planned("Llama-3.1-8B", AGGREGATED).1, planned("Llama-3.1-8B", DISAGGREGATED).1];
    for metric in Metric::all() {
        assert_eq!(metric.name().parse::<Metric>().unwrap(), metric);
        if metric.level() == Level::Run {
            let error = Formula::of(&plans[0], metric, &frozen(Load::Unlimited)).unwrap_err();
            assert!(matches!(error, FormulaError::OnlyOfARun { .. }), "{metric}: {error}");
            continue;
        }
        let found = plans.iter().filter_map(|plan| {
            Formula::of(plan, metric, &frozen(Load::Open { request_rate: 2.0 })).ok()
        });
        let mut count = 0;
        for formula in found {
            let value = formula.evaluate(&Values::new()).unwrap();
            assert!(value > 0.0 && value.is_finite(), "{metric} is {value}");
            assert!(formula.violated(&Values::new()).unwrap().is_empty(), "{metric}");
            assert!(!formula.to_latex().unwrap().is_empty());
            count += 1;
        }
        assert!(count > 0, "{metric} has no formula");
    }
    for plan in &plans {
        let ttft = Metric::Latency(sglsim_formula::Latency::Ttft, sglsim_formula::Statistic::Mean);
        Formula::of(plan, ttft, &frozen(Load::Open { request_rate: 2.0 })).unwrap();
    }
}

#[test]
fn what_cannot_be_has_no_value() {
    let formula = throughput("Llama-3.1-8B", AGGREGATED);
    let error = formula.evaluate(&Values::from([("max_total_tokens", 100.0)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration is infeasible: holds_one_request (there is room for one request)"
    );
    let error = formula.evaluate(&Values::from([("tp_size", 3.0)])).unwrap_err().to_string();
    assert!(error.contains("tp_divides_heads"), "{error}");
    let mut formula = formula;
    formula.module.values.insert("max_total_tokens", 100.0);
    assert!(formula.to_json().unwrap()["value"].is_null());
}

/// The distance from simulation is measured, told in every export, and the same each time.
#[test]
fn validity_is_measured_around_a_scenario() {
    let scenario = scenario("Llama-3.1-8B", AGGREGATED, &mixed("ClosedLoop(concurrency: 64)", 300));
    let (_, frozen) = crate::scenarios::freeze(&scenario);
    let made = || {
        let plan = plan(&scenario);
        let mut formula = Formula::of(&plan, Metric::OutputThroughput, &frozen).unwrap();
        let mut runs = 0;
        formula.measure(&scenario, ".".as_ref(), 4, || runs += 1).unwrap();
        assert!(runs >= 4);
        formula
    };
    let formula = made();
    let measured = formula.measured.clone().unwrap();
    assert_eq!(measured.points, 4);
    assert!(measured.median <= measured.p90 && measured.p90 <= measured.worst.abs());
    assert!(measured.worst.abs() < 0.5, "{measured}");
    assert!(formula.to_sympy().unwrap().contains("Measured on 4 simulations"));
    assert_eq!(formula.to_json().unwrap()["measured"]["points"], 4);
    assert_eq!(made().measured.unwrap(), measured);

    let (_, history) =
        sglsim_formula::History::record(sglsim_engine::Simulation::new(scenario.clone()).unwrap())
            .unwrap();
    let mut of_run = history.formula("mean_itl".parse().unwrap()).unwrap();
    of_run.measure(&scenario, ".".as_ref(), 3, || {}).unwrap();
    assert!(of_run.measured.unwrap().worst.abs() < 0.3);
    let most = Formula::of(&plan(&scenario), Metric::MaxOutputThroughput, &frozen);
    let error = most.unwrap().measure(&scenario, ".".as_ref(), 1, || {}).unwrap_err();
    assert!(matches!(error, FormulaError::NotMeasurable { .. }), "{error}");
}

#[test]
fn json_has_the_value_and_reads_back() {
    let formula = throughput("Llama-3.1-8B", DISAGGREGATED);
    let json = formula.to_json().unwrap();
    let value = formula.evaluate(&Values::new()).unwrap();
    assert_eq!(json["metric"], "output_throughput");
    assert_eq!(json["value"].as_f64(), Some(value));
    let names: Vec<_> = json["variables"].as_array().unwrap().iter().map(|v| &v["name"]).collect();
    assert_eq!(names[..2], ["N_p", "prefill_tp_size"]);
    let module = Module::from_json(&Context::new(), &json["expression"]).unwrap();
    assert!((module.evaluate(&Values::new()).unwrap() / value - 1.0).abs() < 1e-12);
}
