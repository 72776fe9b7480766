//! Batch sequences of the overlap loop, derived by hand: a step is chosen while the one before it runs,
//! and its results come one choice later. Pages have one token.

use sglsim_radix::Span;
use sglsim_sched::{
    BatchState, ForwardMode, Notice, Scheduler, SchedulerConfig, SglangScheduler,
    SpeculativeDecoding, StepResult, Submission,
};
use sglsim_units::{SimTime, TokenCount};

use crate::rank::{ids, rank, request, slices};

const EXTEND: ForwardMode = ForwardMode::Extend;
const DECODE: ForwardMode = ForwardMode::Decode;
const IDLE: ForwardMode = ForwardMode::Idle;

/// A rank and its scheduler.
struct Loop {
    batch: BatchState,
    scheduler: SglangScheduler,
}

/// What one turn of the loop chooses: mode, slices as (request, prefix, extend), who decodes; and who
/// ends by the results that come in after it.
type Turn = (ForwardMode, &'static [(u32, TokenCount, TokenCount)], &'static [u32], &'static [u32]);

impl Loop {
    fn new(config: &SchedulerConfig) -> Self {
        Self { batch: rank(config), scheduler: SglangScheduler::new(config) }
    }

    /// One turn: the step chosen last starts, the next one is chosen, the results of the one before
    /// come in.
    #[track_caller]
    fn turn(&mut self, (mode, extends, decodes, ends): Turn) -> StepResult {
        let batch = &mut self.batch;
        batch.launch_step();
        let chosen = self.scheduler.next_step(batch, SimTime::ZERO).unwrap();
        let mut decoding = match chosen {
            DECODE => ids(batch, batch.running().members().iter().copied()),
            _ => Vec::new(),
        };
        decoding.sort_unstable();
        let found = slices(batch);
        batch.begin_step(chosen).unwrap();
        let result = if batch.is_step_in_flight() {
            batch.finish_step(SimTime::ZERO)
        } else {
            StepResult::default()
        };
        let finished = |notice: Notice| match notice {
            Notice::Finished { id, .. } => Some(id.0),
            _ => None,
        };
        let ended: Vec<u32> = batch.drain_notices().filter_map(finished).collect();
        let found = (chosen, found.as_slice(), decoding.as_slice(), ended.as_slice());
        assert_eq!(found, (mode, extends, decodes, ends));
        result
    }
}

/// That the third token is the last one is known while it is made: no fourth one is.
#[test]
fn the_end_by_length_is_foreseen() {
    let config = SchedulerConfig::new(1000, 10);
    let mut rank = Loop::new(&config);
    rank.batch.submit(request(0, 10, 3)).unwrap();
    rank.turn((EXTEND, &[(0, 0, 10)], &[], &[]));
    rank.turn((DECODE, &[], &[0], &[]));
    rank.turn((DECODE, &[], &[0], &[]));
    let last = rank.turn((IDLE, &[], &[], &[0]));
    assert_eq!((last.decoded, last.discarded), (1, 0));
    assert!(rank.batch.is_empty());
}

/// The second token says stop, but the third one is being made by then, and is thrown away. Its slot is
/// free again; the prompt and the first token stay in the cache.
#[test]
fn the_end_by_a_stop_token_is_noticed_one_step_late() {
    let config = SchedulerConfig::new(1000, 10);
    let mut rank = Loop::new(&config);
    rank.batch.submit(Submission { stop_after: 2, ..request(0, 10, 9) }).unwrap();
    rank.turn((EXTEND, &[(0, 0, 10)], &[], &[]));
    rank.turn((DECODE, &[], &[0], &[]));
    rank.turn((DECODE, &[], &[0], &[0]));
    assert_eq!((rank.batch.memory().evictable(), rank.batch.private_tokens()), (11, 0));
    assert_eq!(rank.batch.memory().available(), 1000 - 11);
    let late = rank.turn((IDLE, &[], &[], &[]));
    assert_eq!((late.mode, late.decoded, late.discarded), (DECODE, 0, 1));
}

/// A prompt reaches the cache with its results: one that comes while it is computed does not find it. A
/// chunk is published as soon as the next choice is made.
#[test]
fn a_prompt_is_published_one_step_late_and_a_chunk_is_not() {
    let mut config = SchedulerConfig::new(1000, 10);
    config.chunked_prefill_size = Some(16);
    let same = |id, tokens| Submission {
        prompt: [Span::new(7, tokens)].into_iter().collect(),
        ..request(id, tokens, 2)
    };
    let mut rank = Loop::new(&config);
    rank.batch.submit(same(0, 10)).unwrap();
    rank.turn((EXTEND, &[(0, 0, 10)], &[], &[]));
    rank.batch.submit(same(1, 10)).unwrap();
    rank.turn((EXTEND, &[(1, 0, 10)], &[], &[]));
    rank.batch.submit(same(2, 10)).unwrap();
    rank.turn((EXTEND, &[(2, 9, 1)], &[], &[]));

    let mut rank = Loop::new(&config);
    rank.batch.submit(same(0, 20)).unwrap();
    rank.turn((EXTEND, &[(0, 0, 16)], &[], &[]));
    rank.batch.submit(same(1, 20)).unwrap();
    // Four tokens finish the first prompt, and leave twelve to the second.
    rank.turn((EXTEND, &[(0, 16, 4), (1, 16, 4)], &[], &[]));
}

/// Request 0 may hold all 26 slots; 1 generates 4 tokens. Six slots are free when both decode, which
/// three steps take. Then 0 needs a slot, and 1, which makes its last token, is about to leave ten.
#[test]
fn nobody_is_retracted_for_want_of_memory_that_is_about_to_come_free() {
    let mut config = SchedulerConfig::new(26, 10);
    config.schedule_conservativeness = 0.01;
    let mut rank = Loop::new(&config);
    rank.batch.submit(request(0, 10, 14)).unwrap();
    rank.turn((EXTEND, &[(0, 0, 10)], &[], &[]));
    rank.batch.submit(request(1, 10, 4)).unwrap();
    rank.turn((EXTEND, &[(1, 0, 10)], &[], &[]));
    for _ in 0..3 {
        rank.turn((DECODE, &[], &[0, 1], &[]));
    }
    assert_eq!(rank.batch.memory().allocatable(), 0);
    rank.turn((IDLE, &[], &[], &[1]));
    rank.turn((DECODE, &[], &[0], &[]));
}

/// 20 slots are free when both decode, which ten steps take. While the tenth runs, both are known to
/// have ten tokens; the one that came last goes, and its eleventh token is thrown away.
#[test]
fn the_token_under_way_of_a_retracted_request_is_thrown_away() {
    let mut config = SchedulerConfig::new(40, 10);
    config.schedule_conservativeness = 0.01;
    let mut rank = Loop::new(&config);
    rank.batch.submit(request(0, 10, 28)).unwrap();
    rank.turn((EXTEND, &[(0, 0, 10)], &[], &[]));
    let victim = rank.batch.submit(request(1, 10, 14)).unwrap();
    rank.turn((EXTEND, &[(1, 0, 10)], &[], &[]));
    for _ in 0..10 {
        rank.turn((DECODE, &[], &[0, 1], &[]));
    }
    assert_eq!(rank.batch.memory().allocatable(), 0);
    let result = rank.turn((DECODE, &[], &[0], &[]));
    assert_eq!((result.decoded, result.discarded), (1, 1));
    assert_eq!(rank.batch.view(victim).generated, 10);
    // (generated 10 + 20 steps of room) of 28 tokens, over one more.
    assert_eq!(rank.scheduler.new_token_ratio(), f64::min(30.0 / 29.0, 1.0));
}

/// Two drafts of three are always accepted, so a step brings three tokens, and it holds eight slots more
/// than its sequences have tokens. After the prompt's token a request of five tokens has four to go: three
/// come by the first step; that one more is the last is known while the second step runs, but that step
/// was chosen when one token was known. It brings what is left, and the third one is thrown away.
#[test]
fn drafts_bring_several_tokens_and_their_slots_lag_behind() {
    let mut config = SchedulerConfig::new(1000, 10);
    config.speculative = Some(SpeculativeDecoding::new(4, 8, vec![0.0, 0.0, 1.0, 0.0]));
    let mut rank = Loop::new(&config);
    rank.batch.submit(request(0, 10, 5)).unwrap();
    rank.turn((EXTEND, &[(0, 0, 10)], &[], &[]));
    rank.turn((DECODE, &[], &[0], &[]));
    assert_eq!(rank.batch.memory().available(), 1000 - 18);
    // The first step runs; the second one needs no slots before its tokens are known.
    rank.turn((DECODE, &[], &[0], &[]));
    assert_eq!(rank.batch.memory().available(), 1000 - 18);
    assert_eq!(rank.batch.forward_batch().decode_context, 10 + 1 + 3);
    // Four tokens are known, the fifth is being made and will be the last.
    let second = rank.turn((IDLE, &[], &[], &[0]));
    assert_eq!((second.verified, second.accepted, second.decoded), (1, 3, 1));
    assert_eq!((rank.batch.memory().evictable(), rank.batch.private_tokens()), (14, 0));
    assert!(rank.batch.is_empty());
}
