//! Experts that are used unevenly, and placed anew.

use sglsim_engine::{Event, Observer, Scenario, Seconds, SimTime, Simulation};

use crate::scenarios::run;
use crate::watch::Shared;

/// DeepSeek-V3 on 16 GPUs; the experts of the first rank get three times as many tokens as others.
fn scenario(fields: &str) -> Scenario {
    let loads: Vec<&str> = (0..256).map(|expert| if expert < 16 { "3.0" } else { "1.0" }).collect();
    Scenario::from_ron(&format!(
        r#"(model: "DeepSeek-V3", hardware: (gpu: "H200-SXM"), deployment: Aggregated(
            tp_size: 16, dp_size: 16, ep_size: 16, expert_loads: Some([{}]), {fields}),
        workload: Synthetic(arrivals: Burst, input_len: Fixed(200), output_len: Fixed(120), requests: 64))"#,
        loads.join(", ")
    ))
    .unwrap()
}

#[derive(Debug, Default)]
struct Costs(Vec<Seconds>);

impl Observer for Costs {
    fn on_event(&mut self, _at: SimTime, event: &Event<'_>) {
        if let Event::Step { cost, .. } = event {
            self.0.push(*cost);
        }
    }
}

fn costs(scenario: &Scenario) -> Vec<f64> {
    let watch = Shared::new(Costs::default());
    Simulation::new(scenario.clone()).unwrap().observer(watch.watch()).run().unwrap();
    watch.take().0.iter().map(|cost| cost.get()).collect()
}

/// Of 16 ranks one has 48 of 288 loads, the others 16: 8/3 of the mean. Balanced, a rank has at best 18.
#[test]
fn a_busy_rank_slows_every_step_until_the_experts_are_placed_anew() {
    let uneven = Simulation::new(scenario("")).unwrap();
    assert!((uneven.plan().pools[0].coefficients.expert.imbalance - 48.0 / 18.0).abs() < 1e-12);
    let anew = scenario("enable_eplb: true, eplb_rebalance_num_iterations: 10");
    let plan = Simulation::new(anew.clone()).unwrap();
    let pool = &plan.plan().pools[0];
    assert!((pool.coefficients.expert.imbalance - 1.0).abs() < 1e-12);
    let rebalance = pool.rebalance.clone().unwrap();
    // 15 of 16 hot experts move, 44 M weights of a byte each in 58 layers over 50 GB/s of network.
    assert!((0.5..2.0).contains(&rebalance.pause), "{}", rebalance.pause);

    let (before, after) = (costs(&scenario("")), costs(&anew));
    assert_eq!(before.len(), after.len(), "the same steps");
    // The same law compiled for another value of θ may sum in another order: the last bits differ.
    let same = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-14 * b;
    assert!(before.iter().zip(&after).take(10).all(same), "{before:?} {after:?}");
    assert!(after[10] > rebalance.pause);
    assert!(after[11..].iter().zip(&before[11..]).all(|(after, before)| after < before));
    assert!(run(&scenario("")).itl.p50 > run(&anew).itl.p50);
}

#[test]
fn loads_that_do_not_fit_are_refused() {
    let refused = |change: (&str, &str)| {
        Simulation::new(scenario("").with(change.0, change.1).unwrap()).unwrap_err().to_string()
    };
    let said = refused(("deployment.expert_loads", "Some([1.0, 2.0])"));
    assert!(said.contains("2 loads") && said.contains("256"), "{said}");
    let eplb = scenario("enable_eplb: true").with("deployment.expert_loads", "None").unwrap();
    let said = Simulation::new(eplb).unwrap_err().to_string();
    assert!(said.contains("expert_loads"), "{said}");
}
