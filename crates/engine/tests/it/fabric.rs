//! The conformance suite of fabrics: the engine's own one passes, and one that is broken in a single
//! way fails with the id of the law that it breaks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_engine::testing::fabric_conformance;
use sglsim_engine::{Delivery, Fabric, FifoFabric, Flow, Seconds, SimTime};

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
