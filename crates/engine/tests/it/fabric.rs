//! Fabrics: the conformance suite, which the engine's own ones pass and one that is broken in a single
//! way fails with the id of the law that it breaks; what transfers take when they share links.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_engine::testing::fabric_conformance;
use sglsim_engine::{
    Delivery, DeploymentPlan, Fabric, FairFabric, FifoFabric, Flow, LinkKind, Port, RequestId,
    Seconds, SimTime, WorkerId,
};

use crate::scenarios::pair_with;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    Loses,
    Repeats,
    Hurries,
    Announces,
    Rewinds,
    Overtakes,
}

#[derive(Debug)]
struct Broken {
    inner: FifoFabric,
    fault: Fault,
    flows: u32,
    /// Arrivals that the faults below keep, first to come first.
    kept: Vec<Delivery>,
}

impl Fabric for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn submit(&mut self, now: SimTime, flow: Flow) {
        self.flows += 1;
        let seventh = self.flows.is_multiple_of(7);
        match self.fault {
            Fault::Loses if seventh => {}
            Fault::Hurries if seventh => {
                let alone = Seconds::new(flow.alone.get() / 2.0).unwrap();
                self.inner.submit(now, Flow { alone, ..flow });
            }
            Fault::Rewinds | Fault::Overtakes => {
                self.inner.submit(now, flow);
                let delivery = self.inner.pop().unwrap();
                self.kept.push(delivery);
                self.kept.sort_by_key(|delivery| delivery.arrived);
                if let Fault::Overtakes = self.fault {
                    // Whoever came last of all goes first, late enough for everybody.
                    let latest = self.kept.iter().map(|kept| kept.arrived).max().unwrap();
                    self.kept.sort_by_key(|kept| std::cmp::Reverse(kept.flow.request));
                    self.kept.iter_mut().for_each(|kept| kept.arrived = latest);
                } else if self.kept.len() > 2 {
                    self.kept.swap(1, 2);
                }
            }
            _ => self.inner.submit(now, flow),
        }
    }

    fn peek(&self) -> Option<SimTime> {
        let first = self.kept.first().map(|delivery| delivery.arrived);
        let at = first.or(self.inner.peek())?;
        match self.fault {
            Fault::Announces => Some(at + Seconds::new(1.0).unwrap()),
            _ => Some(at),
        }
    }

    fn pop(&mut self) -> Option<Delivery> {
        if !self.kept.is_empty() {
            return Some(self.kept.remove(0));
        }
        let delivery = self.inner.pop()?;
        if let Fault::Repeats = self.fault
            && delivery.flow.request.0 % 7 == 3
        {
            self.kept.push(delivery);
        }
        Some(delivery)
    }
}

fn verdict(fault: Fault) -> Result<(), String> {
    let inner = FifoFabric::new;
    let make = move || -> Box<dyn Fabric> {
        Box::new(Broken { inner: inner(), fault, flows: 0, kept: Vec::new() })
    };
    catch_unwind(AssertUnwindSafe(|| fabric_conformance(make))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap()
    })
}

#[test]
fn the_fifo_fabric_keeps_every_law() {
    fabric_conformance(|| Box::new(FifoFabric::new()));
    assert_eq!(verdict(Fault::Nothing), Ok(()));
}

#[test]
fn the_fair_fabric_keeps_every_law() {
    for fields in [
        &[][..],
        &[("network.gpus_per_nic", "4")],
        &[("network.nodes_per_pod", "1"), ("network.oversubscription", "4.0")],
        &[("network.transfer_queues", "1"), ("network.rail_optimized", "false")],
    ] {
        let sizes = [
            ("deployment.Disaggregated.prefill.workers", "3"),
            ("deployment.Disaggregated.decode.workers", "3"),
        ];
        let plan = plan(&[&sizes, fields].concat());
        fabric_conformance(|| Box::new(FairFabric::new(plan.network().unwrap())));
    }
}

pub(crate) fn plan(fields: &[(&str, &str)]) -> DeploymentPlan {
    DeploymentPlan::of(&pair_with(fields), ".".as_ref()).unwrap()
}

#[test]
fn every_fault_is_found_under_its_id() {
    for (fault, id) in [
        (Fault::Loses, "FABRIC-1"),
        (Fault::Repeats, "FABRIC-1"),
        (Fault::Hurries, "FABRIC-2"),
        (Fault::Announces, "FABRIC-3"),
        (Fault::Rewinds, "FABRIC-3"),
        (Fault::Overtakes, "FABRIC-4"),
    ] {
        let message = verdict(fault).expect_err(&format!("{fault:?} is a fault"));
        assert!(message.contains(id), "{fault:?} breaks {id}, was told: {message}");
    }
}

/// A piece of so many tokens, as the transfer law has it.
pub(crate) fn piece(
    plan: &DeploymentPlan,
    request: u32,
    way: [(u32, usize); 2],
    tokens: u64,
) -> Flow {
    let cost = plan.transfer.as_ref().unwrap().compile().unwrap().cost(tokens);
    let [from, to] = way.map(|(worker, rank)| Port { worker: WorkerId(worker), rank });
    Flow {
        request: RequestId(request),
        piece: 0,
        from,
        to,
        tokens,
        bytes: cost.bytes,
        alone: Seconds::new(cost.seconds).unwrap(),
        streaming: Seconds::new(cost.streaming).unwrap(),
    }
}

/// When each of these flows, all handed over at once, arrives \[s\].
fn arrivals(plan: &DeploymentPlan, flows: &[Flow]) -> Vec<f64> {
    let mut fabric = FairFabric::new(plan.network().unwrap());
    for flow in flows {
        fabric.submit(SimTime::ZERO, *flow);
    }
    let mut at = vec![f64::NAN; flows.len()];
    while fabric.peek().is_some() {
        if let Some(delivery) = fabric.pop() {
            at[delivery.flow.request.index()] = delivery.arrived.seconds();
        }
    }
    at
}

const POOLS: [(&str, &str); 2] = [
    ("deployment.Disaggregated.prefill.workers", "3"),
    ("deployment.Disaggregated.decode.workers", "3"),
];

/// On an idle network the law holds to the last bit, however the KV is spread on both sides.
#[test]
fn alone_a_flow_takes_what_the_law_says() {
    let [prefill, decode] = ["prefill", "decode"].map(|pool| format!("deployment.{pool}.tp_size"));
    for model in ["Llama-3.1-8B", "Qwen3-235B-A22B", "DeepSeek-V3"] {
        for sizes in [["8", "8"], ["8", "16"], ["16", "8"], ["4", "8"], ["8", "4"], ["16", "16"]] {
            for nics in ["1", "2", "4"] {
                let fields = [
                    ("model", model),
                    (&prefill, sizes[0]),
                    (&decode, sizes[1]),
                    ("network.gpus_per_nic", nics),
                    ("deployment.prefill.hardware", "(gpu: \"B200\")"),
                    ("deployment.decode.hardware", "(gpu: \"B200\")"),
                ];
                let Ok(plan) = DeploymentPlan::of(&pair_with(&fields), ".".as_ref()) else {
                    continue; // the model does not fit
                };
                for tokens in [1, 1000, 100_000] {
                    let flow = piece(&plan, 0, [(0, 0), (1, 0)], tokens);
                    let at = arrivals(&plan, &[flow]);
                    assert_eq!(at, [flow.alone.get()], "{model} {sizes:?} {nics} {tokens}");
                }
            }
        }
    }
}

#[test]
fn two_flows_over_one_adapter_take_as_long_as_they_must() {
    let plan = plan(&POOLS);
    let one = piece(&plan, 0, [(0, 0), (3, 0)], 20_000);
    let (alone, streaming) = (one.alone.get(), one.streaming.get());
    // From one sender to two receivers, and from two senders to one receiver: both share.
    for ways in [[[(0, 0), (3, 0)], [(0, 0), (4, 0)]], [[(0, 0), (3, 0)], [(1, 0), (3, 0)]]] {
        let flows = [piece(&plan, 0, ways[0], 20_000), piece(&plan, 1, ways[1], 20_000)];
        for at in arrivals(&plan, &flows) {
            assert!((at - (alone + streaming)).abs() < 1e-9, "{at} {alone} {streaming}");
        }
    }
    // A shorter one is done when it has had as much of the adapter as the longer one.
    let flows =
        [piece(&plan, 0, [(0, 0), (3, 0)], 20_000), piece(&plan, 1, [(0, 0), (4, 0)], 5_000)];
    let short = flows[1].streaming.get();
    let set_up = alone - streaming;
    let at = arrivals(&plan, &flows);
    assert!((at[1] - (set_up + 2.0 * short)).abs() < 1e-9, "{at:?}");
    assert!((at[0] - (set_up + streaming + short)).abs() < 1e-9, "{at:?}");
    // One queue serves in turn, so the second set-up comes after the first flow.
    let flows = [0, 1].map(|id| piece(&plan, id, [(0, 0), (3, 0)], 20_000));
    let at = arrivals(&plan, &flows);
    assert_eq!(at, [alone, alone + alone]);
}

#[test]
fn pairs_that_share_nothing_do_not_wait_for_each_other() {
    let plan = plan(&POOLS);
    let flows = [0, 1, 2].map(|w| piece(&plan, w, [(w, 0), (3 + w, 0)], 9_000));
    assert_eq!(arrivals(&plan, &flows), [flows[0].alone.get(); 3]);
    // Behind a spine that is four times too narrow they share it.
    let narrow = [
        ("network.nodes_per_pod", "1"),
        ("network.oversubscription", "4.0"),
        ("hardware.gpus_per_node", "4"),
    ];
    let plan = self::plan(&[&POOLS[..], &narrow].concat());
    let flows = [0, 1, 2].map(|w| piece(&plan, w, [(w, 0), (3 + w, 0)], 9_000));
    for at in arrivals(&plan, &flows) {
        let expected = flows[0].alone.get() + 3.0 * flows[0].streaming.get();
        assert!((at - expected).abs() < 1e-9, "{at} {expected}");
    }
}

#[test]
fn all_bytes_arrive_and_no_link_carries_more_than_it_can() {
    let narrow = [("network.nodes_per_pod", "1"), ("network.oversubscription", "3.0")];
    let plan = plan(&[&POOLS[..], &narrow].concat());
    let mut fabric = FairFabric::new(plan.network().unwrap());
    let mut sent = 0.0;
    for id in 0..60_u32 {
        let flow = piece(&plan, id, [(id % 3, 0), (3 + id / 3 % 3, 0)], 500 + 97 * u64::from(id));
        sent += flow.bytes;
        fabric.submit(SimTime::new(f64::from(id) * 1e-3).unwrap(), flow);
    }
    let mut end = SimTime::ZERO;
    while fabric.peek().is_some() {
        end = fabric.pop().map_or(end, |delivery| delivery.arrived);
    }
    let links = fabric.link_use();
    for link in &links {
        assert!(link.bytes <= link.capacity * end.seconds() * (1.0 + 1e-9), "{link:?}");
    }
    for kind in [LinkKind::NicOut, LinkKind::NicIn] {
        let carried: f64 =
            links.iter().filter(|link| link.kind == kind).map(|link| link.bytes).sum();
        assert!((carried / sent - 1.0).abs() < 1e-9, "{kind}: {carried} of {sent}");
    }
}

/// One flow more never lets another one arrive earlier, and a narrower link neither.
#[test]
fn more_load_is_never_faster() {
    let plan = plan(&POOLS);
    let flows: Vec<Flow> =
        (0..9_u32).map(|id| piece(&plan, id, [(id % 3, 0), (3 + id / 3, 0)], 4_000)).collect();
    let mut before = arrivals(&plan, &flows[..1]);
    for count in 2..=flows.len() {
        let now = arrivals(&plan, &flows[..count]);
        for (earlier, later) in before.iter().zip(&now) {
            assert!(later >= &(earlier - 1e-12), "{before:?} {now:?}");
        }
        before = now;
    }
}

#[test]
fn a_cut_link_stops_its_flows_until_it_is_mended() {
    let plan = plan(&POOLS);
    let flow = piece(&plan, 0, [(0, 0), (3, 0)], 20_000);
    let network = plan.network().unwrap();
    let nics = network.nics_of(WorkerId(0));
    assert_eq!(nics.len(), 4);
    let mut fabric = FairFabric::new(network);
    fabric.submit(SimTime::ZERO, flow);
    fabric.pop();
    let half = SimTime::new(flow.alone.get() - flow.streaming.get() / 2.0).unwrap();
    assert!(fabric.set_bandwidth(half, &nics[0], 0.0));
    assert_eq!(fabric.peek(), None, "nothing moves");
    assert!(!fabric.set_bandwidth(half, "node 77 nic 0", 0.0));
    let mended = SimTime::new(10.0).unwrap();
    assert!(fabric.set_bandwidth(mended, &nics[0], 0.5));
    let at = fabric.peek().unwrap().seconds();
    assert!((at - (10.0 + flow.streaming.get())).abs() < 1e-9, "half of it at half the rate: {at}");
    // A flow that is not wanted any more does not arrive.
    fabric.cancel(mended, RequestId(0), flow.from, flow.to);
    assert_eq!(fabric.peek(), None);
}

#[test]
fn networks_that_cannot_be_are_all_told_at_once() {
    let network = "(gpus_per_nic: 0, nodes_per_pod: 0, oversubscription: -1.0)";
    let error = DeploymentPlan::of(&pair_with(&[("network", network)]), ".".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 things are wrong:\n  \
         `network.gpus_per_nic` is 0, allowed is from 1 to 100000\n  \
         `network.nodes_per_pod` is 0, allowed is from 1 to 100000\n  \
         `network.oversubscription` is -1, allowed is from 0.01 to 1000000"
    );
    let pages = [("deployment.decode.page_size", "64")];
    let error = DeploymentPlan::of(&pair_with(&pages), ".".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`deployment.Disaggregated.decode.page_size` is 64, allowed is 1, as in \
         deployment.Disaggregated.prefill: KV is sent in whole pages"
    );
}
