//! Conformance suites for plug-ins: one call checks the laws of a trait.
//!
//! A broken law is a panic whose message begins with the law's id; `docs/invariants.md` lists them.

use sglsim_units::{RequestId, RngStreams, Seconds, SimTime, WorkerId};

use crate::fabric::{Fabric, Flow, Port};

pub use sglsim_radix::testing::conformance as prefix_cache_conformance;
pub use sglsim_router::testing::conformance as route_policy_conformance;
pub use sglsim_sched::testing::{
    conformance as scheduler_conformance, decode_conformance as decode_scheduler_conformance,
    policy_conformance,
};
pub use sglsim_workload::testing::conformance as workload_conformance;

/// Hands random flows to a fabric and checks `FABRIC-1` to `FABRIC-4`.
///
/// # Panics
///
/// If a law is broken.
pub fn fabric_conformance(make: impl Fn() -> Box<dyn Fabric>) {
    for seed in 0..32 {
        one_fabric(make().as_mut(), seed);
    }
}

fn one_fabric(fabric: &mut dyn Fabric, seed: u64) {
    use rand_core::Rng;
    let mut rng = RngStreams::new(seed).stream("testing/fabric");
    let mut draw = |below: u32| (rng.next_u32() % below) as f64;
    let mut under_way: Vec<(Flow, SimTime)> = Vec::new();
    let mut turns = 0;
    // An overtaken flow may also be one that never arrives, which is worse.
    let mut overtaken = None;
    let mut now = SimTime::ZERO;
    for id in 0..200 {
        let streaming = draw(1000) * 1e-5;
        let flow = Flow {
            request: RequestId(id),
            piece: 0,
            from: Port { worker: WorkerId(draw(3) as u32), rank: 0 },
            to: Port { worker: WorkerId(3 + draw(3) as u32), rank: 0 },
            tokens: 1 + draw(1000) as u64,
            bytes: 1e6 * (1.0 + draw(1000)),
            alone: Seconds::new(streaming + draw(2) * 1e-3).expect("not negative"),
            streaming: Seconds::new(streaming).expect("not negative"),
        };
        now += Seconds::new(draw(100) * 1e-4).expect("not negative");
        while fabric.peek().is_some_and(|at| at <= now) {
            overtaken = overtaken.or(take(fabric, &mut under_way, &mut turns, seed));
        }
        fabric.submit(now, flow);
        under_way.push((flow, now));
    }
    while fabric.peek().is_some() {
        overtaken = overtaken.or(take(fabric, &mut under_way, &mut turns, seed));
    }
    assert!(under_way.is_empty(), "FABRIC-1 every flow arrives: {} never did", under_way.len());
    if let Some((first, second)) = overtaken {
        panic!("FABRIC-4 flows of one pair stay in order: {second} overtook {first} (seed {seed})");
    }
}

/// Takes the next arrival. If it overtook another flow of its pair, gives that one and it.
fn take(
    fabric: &mut dyn Fabric,
    under_way: &mut Vec<(Flow, SimTime)>,
    turns: &mut usize,
    seed: u64,
) -> Option<(RequestId, RequestId)> {
    let announced = fabric.peek().expect("the caller peeked");
    let Some(delivery) = fabric.pop() else {
        // Links are shared in another way from then on, which those under way can bring about so often.
        *turns += 1;
        assert!(
            *turns <= 4 * under_way.len(),
            "FABRIC-1 every flow arrives: `peek` said {announced}, `pop` has nothing (seed {seed})"
        );
        return None;
    };
    *turns = 0;
    assert_eq!(delivery.arrived, announced, "FABRIC-3 `pop` gives what `peek` announced");
    let request = delivery.flow.request;
    let Some(position) = under_way.iter().position(|(flow, _)| flow.request == request) else {
        panic!("FABRIC-1 every flow arrives once: {request} came again (seed {seed})");
    };
    let (flow, submitted) = under_way.remove(position);
    let earliest = submitted + flow.alone;
    assert!(
        delivery.arrived >= earliest,
        "FABRIC-2 not before its time alone: {request} arrived at {}, earliest {earliest}",
        delivery.arrived
    );
    if let Some(next) = fabric.peek() {
        assert!(next >= announced, "FABRIC-3 time never goes back: {next} after {announced}");
    }
    let (earlier, _) = (under_way[..position].iter())
        .find(|(earlier, _)| (earlier.from, earlier.to) == (flow.from, flow.to))?;
    Some((earlier.request, request))
}
