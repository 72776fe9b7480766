//! The workloads of the suites reach what they are made for.

use super::case::Case;
use super::drive::drive;
use super::{CASES, DisaggregationMode};
use crate::{DecodeScheduler, Notice, Scheduler, SglangScheduler};

#[derive(Debug, Default)]
struct Tally {
    cut: usize,
    cached: usize,
    retracted: usize,
    again: usize,
    resumed: usize,
    finished: usize,
}

fn tally(mode: DisaggregationMode) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..CASES {
        let case = Case::draw(mode, seed);
        let mut scheduler: Box<dyn Scheduler> = match mode {
            DisaggregationMode::Decode => Box::new(DecodeScheduler::new()),
            _ => Box::new(SglangScheduler::new(&case.config)),
        };
        for decision in drive(&case, scheduler.as_mut()) {
            tally.cut += decision.slices.iter().filter(|slice| !slice.last).count();
            for notice in decision.notices {
                match notice {
                    Notice::Admitted { cached, again, .. } => {
                        tally.cached += usize::from(cached > 0);
                        tally.again += usize::from(again);
                    }
                    Notice::Retracted { .. } => tally.retracted += 1,
                    Notice::Resumed { .. } => tally.resumed += 1,
                    Notice::Finished { .. } => tally.finished += 1,
                    _ => {}
                }
            }
        }
    }
    tally
}

#[test]
fn workloads_chunk_hit_the_cache_and_run_out_of_memory() {
    let null = tally(DisaggregationMode::Null);
    assert!(null.cut > 300 && null.cached > 300 && null.retracted > 30, "{null:?}");
    assert_eq!(null.again, null.retracted);
    let prefill = tally(DisaggregationMode::Prefill);
    assert!(prefill.cut > 300 && prefill.cached > 300 && prefill.finished == 0, "{prefill:?}");
    let decode = tally(DisaggregationMode::Decode);
    assert!(decode.retracted > 20 && decode.resumed == decode.retracted, "{decode:?}");
}

/// Speculation keeps every law, in both loops: memory is conserved and never overdrawn, everybody gets
/// the tokens that were asked for, the same seed gives the same decisions.
#[test]
fn laws_hold_with_speculative_decoding() {
    let (mut verified, mut retracted) = (0, 0);
    for mode in [DisaggregationMode::Null, DisaggregationMode::Decode] {
        for seed in 0..CASES {
            let case = Case::speculating(mode, seed);
            let run = || {
                let mut scheduler: Box<dyn Scheduler> = match mode {
                    DisaggregationMode::Decode => Box::new(DecodeScheduler::new()),
                    _ => Box::new(SglangScheduler::new(&case.config)),
                };
                drive(&case, scheduler.as_mut())
            };
            let first = run();
            assert!(first == run(), "SCHED-7 the same draws, the same decisions");
            for notice in first.iter().flat_map(|decision| &decision.notices) {
                verified += usize::from(matches!(notice, Notice::Accepted { .. }));
                retracted += usize::from(matches!(notice, Notice::Retracted { .. }));
            }
        }
    }
    assert!(verified > 10_000 && retracted > 30, "{verified} {retracted}");
}
