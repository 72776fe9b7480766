//! Exported modules, run by Python: needs an interpreter with SymPy in `SGLSIM_PYTHON`.

use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use sglsim_engine::Scenario;
use sglsim_expr::Values;
use sglsim_formula::{Formula, Metric};

use crate::scenarios::{AGGREGATED, DISAGGREGATED, DP_ATTENTION, freeze, mixed, plan, scenario};

/// What Python says.
#[derive(Debug, Deserialize)]
pub(crate) struct Answers {
    /// The objective at each point.
    pub(crate) values: Vec<f64>,
    /// The constraints that each point breaks.
    pub(crate) violated: Vec<Vec<String>>,
}

const EVALUATE: &str = r#"
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("formula", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert set(module.variables) | set(module.parameters) == set(module.values)
answers = {"values": [], "violated": []}
for point in json.load(open(sys.argv[2])):
    point = {name: int(x) if float(x).is_integer() else x for name, x in point.items()}
    answers["values"].append(module.evaluate(point))
    answers["violated"].append(module.violated(point))
print(json.dumps(answers))
"#;

/// Evaluates an exported module at points; `None` without Python.
pub(crate) fn evaluate(source: &str, points: Value) -> Option<Answers> {
    let Some(python) = std::env::var_os("SGLSIM_PYTHON") else {
        println!("skipped: SGLSIM_PYTHON is not set");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let (module, input) = (folder.path().join("formula.py"), folder.path().join("points.json"));
    std::fs::write(&module, source).unwrap();
    std::fs::write(&input, points.to_string()).unwrap();
    let out = Command::new(python).args(["-c", EVALUATE]).args([&module, &input]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

#[track_caller]
pub(crate) fn close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() <= 1e-12 * want.abs(), "{what}: {got:e} instead of {want:e}");
}

/// A generator of the points: 48 bits of a linear congruence, good enough to scatter.
struct Points(u64);

impl Points {
    fn one_of(&mut self, choices: &[f64]) -> f64 {
        self.0 = self.0.wrapping_mul(0x5DEE_CE66D).wrapping_add(11) & ((1 << 48) - 1);
        choices[(self.0 >> 20) as usize % choices.len()]
    }

    /// A random value for each knob.
    fn next(&mut self, formula: &Formula) -> Values {
        let knobs = formula.module.variables.iter().map(|knob| knob.name().unwrap());
        knobs
            .map(|name| {
                let choices: &[f64] =
                    match name.trim_start_matches("prefill_").trim_start_matches("decode_") {
                        "N" | "N_p" | "N_d" => &[1.0, 2.0, 3.0, 7.0, 16.0],
                        "tp_size" => &[1.0, 2.0, 4.0, 8.0, 16.0],
                        "dp_size" | "ep_size" => &[1.0, 2.0, 4.0, 16.0],
                        "chunked_prefill_size" => &[512.0, 2048.0, 4000.0, 8192.0, 16384.0],
                        "max_running_requests" => &[1.0, 48.0, 100.0, 1000.0, 1e9],
                        "max_total_tokens" => &[5e3, 1e5, 3e6, 1e9],
                        other => panic!("no choices for `{other}`"),
                    };
                let value = self.one_of(choices);
                (name, value)
            })
            .collect()
    }
}

fn cases() -> [Scenario; 3] {
    [
        scenario("Llama-3.1-8B", AGGREGATED, &mixed("ClosedLoop(concurrency: 64)", 300)),
        scenario("Llama-3.1-70B", DISAGGREGATED, &mixed("Burst", 300)),
        scenario("DeepSeek-V3", DP_ATTENTION, &mixed("Poisson(rate: 20.0)", 300)),
    ]
}

#[test]
fn throughput_by_sympy_is_ours_at_random_configurations() {
    for scenario in cases() {
        let (_, frozen) = freeze(&scenario);
        let formula = Formula::of(&plan(&scenario), Metric::OutputThroughput, &frozen).unwrap();
        let mut random = Points(7);
        let points: Vec<Values> = (0..40).map(|_| random.next(&formula)).collect();
        let source = formula.to_sympy().unwrap();
        let Some(answers) = evaluate(&source, json!(points)) else { return };
        let mut feasible = 0;
        for (at, point) in points.iter().enumerate() {
            let want = formula.module.evaluate(point).unwrap();
            close(answers.values[at], want, &format!("{} at {point:?}", scenario.model));
            assert_eq!(answers.violated[at], formula.violated(point).unwrap(), "{point:?}");
            feasible += usize::from(answers.violated[at].is_empty());
        }
        println!("{}: {feasible} of {} points are feasible", scenario.model, points.len());
    }
}

#[test]
fn latencies_by_sympy_are_ours() {
    let scenario = scenario("Llama-3.1-8B", DISAGGREGATED, &mixed("Poisson(rate: 5.0)", 100));
    let (plan, (_, frozen)) = (plan(&scenario), freeze(&scenario));
    let points: Vec<Values> = [(1.0, 0.0, 1.0), (9000.0, 100.0, 40.0), (30_000.0, 29_999.0, 2.0)]
        .into_iter()
        .map(|(prompt, cached, output)| {
            Values::from([
                ("prompt_tokens", prompt),
                ("cached_tokens", cached),
                ("output_tokens", output),
                ("prefill_chunked_prefill_size", 2048.0),
            ])
        })
        .collect();
    for metric in [Metric::Ttft, Metric::Itl, Metric::E2eLatency, Metric::TransferTime] {
        let formula = Formula::of(&plan, metric, &frozen).unwrap();
        let Some(answers) = evaluate(&formula.to_sympy().unwrap(), json!(points)) else { return };
        for (point, got) in points.iter().zip(answers.values) {
            close(got, formula.module.evaluate(point).unwrap(), &format!("{metric} at {point:?}"));
        }
    }
}
