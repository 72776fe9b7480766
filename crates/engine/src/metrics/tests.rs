//! Samples against values worked out by hand.

use sglsim_units::{RequestId, SimTime, WorkerId};

use super::{Gaps, RequestRecord, Summary};

const WORKER: WorkerId = WorkerId(0);
const A: RequestId = RequestId(0);
const B: RequestId = RequestId(1);

fn at(seconds: f64) -> SimTime {
    SimTime::new(seconds).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found}, by hand {expected}");
}

#[test]
fn percentiles_lie_between_neighbours() {
    // numpy.percentile([1, 2, 3, 4], [50, 90, 95, 99]) = [2.5, 3.7, 3.85, 3.97]
    let summary = Summary::of(vec![4.0, 1.0, 3.0, 2.0]);
    assert_eq!((summary.count, summary.mean, summary.max), (4, 2.5, 4.0));
    close(summary.p50, 2.5);
    close(summary.p90, 3.7);
    close(summary.p95, 3.85);
    close(summary.p99, 3.97);
    close(summary.std, 1.25_f64.sqrt());
}

#[test]
fn samples_of_one_and_none() {
    assert_eq!(Summary::of(vec![]), Summary::default());
    let one = Summary::of(vec![0.5]);
    let all = [one.mean, one.p50, one.p90, one.p95, one.p99, one.max];
    assert_eq!((one.count, one.std, all), (1, 0.0, [0.5; 6]));
    let scaled = one.scaled(1e3);
    assert_eq!((scaled.count, scaled.p99), (1, 500.0));
}

fn gaps() -> Gaps {
    Gaps::new(1)
}

#[test]
fn a_step_is_one_sample_for_all_who_were_in_the_last() {
    let mut gaps = gaps();
    gaps.token(at(1.0), A, (WORKER, 0, 1));
    gaps.decode_step(at(1.5), (WORKER, 0, 1), 1); // A: 0.5
    gaps.token(at(2.0), B, (WORKER, 0, 1));
    gaps.decode_step(at(2.5), (WORKER, 0, 1), 2); // A: 1.0, B: 0.5
    gaps.decode_step(at(2.75), (WORKER, 0, 1), 2); // both 0.25
    gaps.finished(A, WORKER, 0);
    gaps.decode_step(at(3.0), (WORKER, 0, 1), 1); // B: 0.25
    assert_eq!(gaps.summary().count, 6);
    close(gaps.summary().mean, (0.5 + 1.0 + 0.5 + 3.0 * 0.25) / 6.0);
    assert_eq!(gaps.summary().max, 1.0);
    let squares: f64 = (0.25 + 1.0 + 0.25 + 3.0 * 0.0625) / 6.0;
    close(gaps.summary().std, (squares - gaps.summary().mean.powi(2)).sqrt());
    assert!((gaps.summary().p50 - 0.25).abs() < 0.25e-3, "{}", gaps.summary().p50);
    assert_eq!(gaps.summary().p99, 1.0, "no quantile is above the maximum");
}

#[test]
fn a_gap_goes_on_while_its_request_is_out_of_memory() {
    let mut gaps = gaps();
    gaps.token(at(1.0), A, (WORKER, 0, 1));
    gaps.token(at(1.0), B, (WORKER, 0, 1));
    gaps.decode_step(at(2.0), (WORKER, 0, 1), 2); // 1, 1
    gaps.retracted(B, WORKER, 0);
    gaps.decode_step(at(3.0), (WORKER, 0, 1), 1); // A: 1
    gaps.finished(A, WORKER, 0);
    // Prefilled again, which gives the next token.
    gaps.token(at(7.0), B, (WORKER, 0, 1)); // B: 5
    gaps.decode_step(at(8.0), (WORKER, 0, 1), 1); // B: 1
    assert_eq!((gaps.summary().count, gaps.summary().max), (5, 5.0));
    close(gaps.summary().mean, 9.0 / 5.0);
}

#[test]
fn a_resumed_request_has_its_next_token_at_the_next_step() {
    let mut gaps = gaps();
    gaps.token(at(1.0), A, (WORKER, 0, 1));
    gaps.token(at(1.5), B, (WORKER, 0, 1));
    gaps.retracted(B, WORKER, 0); // before it ever decoded
    gaps.decode_step(at(2.0), (WORKER, 0, 1), 1); // A: 1
    gaps.resumed(B, (WORKER, 0, 1));
    gaps.decode_step(at(4.5), (WORKER, 0, 1), 2); // A: 2.5, B: 3
    assert_eq!((gaps.summary().count, gaps.summary().max), (3, 3.0));
    close(gaps.summary().mean, 6.5 / 3.0);
}

#[test]
fn ranks_do_not_mix_and_a_single_token_has_no_gap() {
    let mut gaps = gaps();
    gaps.token(at(1.0), A, (WORKER, 0, 1));
    gaps.token(at(1.0), B, (WORKER, 3, 1));
    gaps.finished(B, WORKER, 3);
    gaps.decode_step(at(2.0), (WORKER, 0, 1), 1);
    assert_eq!((gaps.summary().count, gaps.summary().mean), (1, 1.0));
    assert_eq!(Gaps::new(2).summary(), Summary::default());
}

#[test]
fn gaps_of_any_size_are_counted() {
    let mut gaps = gaps();
    for (index, gap) in [0.0, 1e-300, 1e-9, 1e9, f64::MAX].into_iter().enumerate() {
        let id = RequestId::from_index(index);
        gaps.token(SimTime::ZERO, id, (WORKER, 0, 1));
        gaps.decode_step(at(gap), (WORKER, 0, 1), 1);
        gaps.finished(id, WORKER, 0);
    }
    assert_eq!((gaps.summary().count, gaps.summary().max), (5, f64::MAX));
}

#[test]
fn times_of_a_record() {
    let mut record = RequestRecord { arrival: at(1.0), ..RequestRecord::default() };
    assert_eq!((record.ttft(), record.e2e(), record.tpot()), (None, None, None));
    record.queued = Some(at(1.5));
    record.admitted = Some(at(2.0));
    record.prefilled = Some(at(3.0));
    record.transferred = Some(at(3.25));
    record.first_token = Some(at(3.5));
    record.finished = Some(at(5.5));
    record.output_tokens = 5;
    let seconds = |span: Option<sglsim_units::Seconds>| span.unwrap().get();
    assert_eq!(seconds(record.ttft()), 2.5);
    assert_eq!(seconds(record.e2e()), 4.5);
    assert_eq!(seconds(record.tpot()), 0.5);
    assert_eq!(seconds(record.queue_time()), 0.5);
    assert_eq!(seconds(record.transfer_time()), 0.25);
    record.output_tokens = 1;
    assert_eq!(record.tpot(), None, "a single token has no time per further token");
}

#[test]
fn a_step_under_way_is_not_that_of_a_request_that_joins_meanwhile() {
    let mut gaps = Gaps::new(1);
    gaps.token(at(1.0), A, (WORKER, 0, 1));
    gaps.decode_step(at(2.0), (WORKER, 0, 1), 1); // A: 1
    gaps.token(at(2.0), B, (WORKER, 0, 3)); // the second step runs already
    gaps.decode_step(at(3.0), (WORKER, 0, 2), 1); // A: 1
    gaps.decode_step(at(4.0), (WORKER, 0, 3), 2); // A: 1, B: 2
    assert_eq!((gaps.summary().count, gaps.summary().max), (4, 2.0));
    assert_eq!(gaps.summary().mean, 5.0 / 4.0);
}
