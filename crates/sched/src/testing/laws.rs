//! The laws of a scheduler, each with the message of its breach.

use std::fmt::Display;

use sglsim_units::{RequestId, TokenCount};

use super::case::Case;
use super::drive::Decision;
use crate::{BatchState, CLIP_MAX_NEW_TOKENS, DisaggregationMode, ForwardMode, SchedError};

/// `SCHED-1`, `SCHED-2`, `SCHED-4` and `SCHED-5` of a chosen step.
pub(super) fn check_choice(
    case: &Case,
    step: u64,
    batch: &BatchState,
    mode: ForwardMode,
    budget: Option<u32>,
) {
    let slices = batch.extend_batch();
    let extend: TokenCount = slices.iter().map(|slice| slice.extend).sum();
    if let Some(chunk) = budget
        && extend > TokenCount::from(chunk)
    {
        let message =
            format!("chunk budget: the extend batch has {extend} tokens, allowed {chunk}");
        broken("SCHED-1", message, case, step);
    }
    let (rows, allowed) = (batch.rows(), case.config.max_running_requests);
    if rows > allowed as usize {
        broken("SCHED-2", format!("rows: {rows} requests hold one, allowed {allowed}"), case, step);
    }
    let cut: Vec<RequestId> =
        slices.iter().filter(|slice| !slice.last).map(|slice| batch.id(slice.slot)).collect();
    if cut.len() > 1 {
        broken("SCHED-4", format!("one chunked prompt: requests {cut:?} are cut"), case, step);
    }
    // While a step is under way, what it frees may be what others wait for.
    if mode == ForwardMode::Idle
        && !batch.is_step_in_flight()
        && let Some(what) = could_work(batch)
    {
        broken("SCHED-5", format!("{}, {what}, yet the scheduler idles", load(batch)), case, step);
    }
}

fn load(batch: &BatchState) -> String {
    let waiting = batch.waiting_queue().len() + batch.prealloc_queue_len() + batch.received.len();
    format!("work conserving: {waiting} requests wait, {} run", batch.running().len())
}

/// What an idle scheduler could have done, if anything. Memory is taken to be short as soon as
/// one waiting request does not fit, since a policy may insist on that one.
fn could_work(batch: &BatchState) -> Option<&'static str> {
    let allocatable = batch.memory().allocatable();
    let page = TokenCount::from(batch.config().page_size);
    let running = batch.running();
    if !running.is_empty() && batch.slots_for_decode() <= allocatable {
        return Some("a decode step fits");
    }
    if batch.chunked_req().is_some() && page <= allocatable {
        return Some("a prompt is between two chunks, memory is free");
    }
    if batch.config().mode == DisaggregationMode::Decode {
        let arrived = batch.waiting_queue().len() + batch.received.len();
        return if !running.is_empty() {
            None
        } else if arrived > 0 {
            Some("prompts have arrived")
        } else {
            (batch.receiving == 0 && batch.prealloc_queue_len() > 0).then_some("memory is free")
        };
    }
    let fits = |slot| {
        let view = batch.view(slot);
        let future = (view.max_new_tokens - view.generated).min(CLIP_MAX_NEW_TOKENS);
        view.prompt_tokens + view.generated + future + page < allocatable
    };
    let all_fit = batch.waiting_queue().all(fits);
    (batch.waiting_queue().len() > 0 && batch.free_rows() > 0 && all_fit)
        .then_some("memory is free")
}

/// `SCHED-5` of a rank that nothing will wake.
pub(super) fn idle_for_ever(case: &Case, step: u64, batch: &BatchState) -> ! {
    let message = format!("{}, nothing will come, yet the scheduler idles", load(batch));
    broken("SCHED-5", message, case, step)
}

/// `KV-1`: every slot is free, in the cache or held by a request.
pub(super) fn check_memory(case: &Case, step: u64, batch: &BatchState) {
    let memory = batch.memory();
    let (free, evictable, protected) = (memory.available(), memory.evictable(), memory.protected());
    let (private, capacity) = (batch.private_tokens(), memory.capacity());
    if free + evictable + protected + private != capacity {
        let message = format!(
            "memory is conserved: {free} free + {evictable} evictable + {protected} protected + \
             {private} private is not {capacity}"
        );
        broken("KV-1", message, case, step);
    }
}

/// `SCHED-6` and `KV-1` when all is over.
pub(super) fn check_end(
    case: &Case,
    step: u64,
    batch: &BatchState,
    expected: &[Option<TokenCount>],
) {
    if let Some(id) = expected.iter().position(Option::is_some) {
        let message = format!("no starvation: request {id} left without its last token");
        broken("SCHED-6", message, case, step);
    }
    let held = batch.memory().protected() + batch.private_tokens();
    if held > 0 {
        let message = format!("memory is conserved: nobody is left, {held} slots are held");
        broken("KV-1", message, case, step);
    }
}

/// `SCHED-6` of a request that left.
pub(super) fn check_finish(
    case: &Case,
    step: u64,
    id: RequestId,
    (generated, expected): (TokenCount, Option<TokenCount>),
) {
    if expected != Some(generated) {
        let message = format!(
            "no starvation: request {id} finished with {generated} tokens, expected {expected:?}"
        );
        broken("SCHED-6", message, case, step);
    }
}

/// `SCHED-6` of a run that has gone on for too long.
pub(super) fn starved(
    case: &Case,
    step: u64,
    batch: &BatchState,
    expected: &[Option<TokenCount>],
) -> ! {
    let open: Vec<usize> =
        expected.iter().enumerate().filter(|(_, left)| left.is_some()).map(|(id, _)| id).collect();
    let message = format!(
        "no starvation: requests {open:?} are not finished, {} wait, {} run",
        batch.waiting_queue().len() + batch.prealloc_queue_len(),
        batch.running().len()
    );
    broken("SCHED-6", message, case, step)
}

/// `SCHED-7`: two runs of one case decide alike.
pub(super) fn check_equal(case: &Case, first: &[Decision], second: &[Decision]) {
    let differ = first.iter().zip(second).find(|(a, b)| a != b);
    if let Some((a, b)) = differ {
        let message = format!("determinism: one run decided {a:?}, the other {b:?}");
        broken("SCHED-7", message, case, a.step.min(b.step));
    }
    if first.len() != second.len() {
        let (a, b) = (first.len(), second.len());
        let message = format!("determinism: one run took {a} decisions, the other {b}");
        broken("SCHED-7", message, case, 0);
    }
}

/// A refused move breaks the law that the refusal guards.
pub(super) fn refused(case: &Case, step: u64, error: &SchedError) -> ! {
    let law = match error {
        SchedError::NoRow { .. } => "SCHED-2",
        SchedError::OutOfMemory { .. } | SchedError::Stuck { .. } => "SCHED-3",
        SchedError::SecondChunk { .. } => "SCHED-4",
        _ => "SCHED-8",
    };
    broken(law, format!("refused: {error}"), case, step)
}

fn broken(law: &str, message: impl Display, case: &Case, step: u64) -> ! {
    panic!("{law} {message} {}", case.place(step))
}
