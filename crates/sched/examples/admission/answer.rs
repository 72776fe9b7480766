//! What becomes of a scenario.

use serde::Serialize;
use sglsim_sched::testing::seed;
use sglsim_sched::{AddReqResult, SchedError, Slot};

use super::scenario::{Rank, Scenario};

/// One line of output.
#[derive(Serialize)]
struct Answer {
    order: Vec<String>,
    budgets_before: Budgets,
    steps: Vec<Step>,
    batch: Vec<String>,
    next_chunked: Option<String>,
    preempted: Vec<String>,
    budgets_after: Budgets,
}

#[derive(Serialize)]
struct Budgets {
    rem_total: f64,
    cur_rem: i64,
    rem_input: i64,
    rem_chunk: Option<i64>,
}

/// A request that was tried.
#[derive(Serialize)]
struct Step {
    rid: String,
    result: &'static str,
    admitted: bool,
    prefix: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    extend: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunked: Option<bool>,
}

/// Answers one line with one line.
pub(crate) fn answer(line: &str) -> Result<String, String> {
    let scenario = Scenario::read(line)?;
    let mut policy = scenario.policy()?;
    let mut walk = Walk { rank: scenario.rank()?, steps: Vec::new() };
    seed::sort(&mut walk.rank.batch, policy.as_mut());
    let queue: Vec<Slot> = walk.rank.batch.waiting_queue().collect();
    if let Some((submission, done)) = walk.rank.chunked.take() {
        seed::chunked(&mut walk.rank.batch, submission, done);
    }
    let running: Vec<Slot> = walk.rank.batch.running().members().to_vec();
    let order = walk.names(&queue);
    let budgets_before = walk.budgets();
    let yields = policy.yields_chunk_to_shorter();
    walk.run(&scenario, &queue, yields).map_err(|error| error.to_string())?;
    let batch = &walk.rank.batch;
    let admitted: Vec<Slot> = batch.extend_batch().iter().map(|slice| slice.slot).collect();
    let left: Vec<Slot> =
        (running.into_iter()).filter(|slot| !batch.running().members().contains(slot)).collect();
    let mut preempted = walk.names(&left);
    preempted.sort();
    let answer = Answer {
        order,
        budgets_before,
        batch: walk.names(&admitted),
        next_chunked: batch.chunked_req().map(|slot| walk.name(slot)),
        preempted,
        budgets_after: walk.budgets(),
        steps: walk.steps,
    };
    Ok(serde_json::to_string(&answer).expect("an answer is JSON"))
}

/// The walk over the queue, and what it has come to.
struct Walk {
    rank: Rank,
    steps: Vec<Step>,
}

impl Walk {
    fn name(&self, slot: Slot) -> String {
        self.rank.names[self.rank.batch.id(slot).index()].clone()
    }

    fn names(&self, slots: &[Slot]) -> Vec<String> {
        slots.iter().map(|slot| self.name(*slot)).collect()
    }

    fn budgets(&self) -> Budgets {
        let Rank { batch, adder, .. } = &self.rank;
        Budgets {
            rem_total: adder.rem_total_tokens(batch),
            cur_rem: adder.cur_rem_tokens(batch),
            rem_input: adder.rem_input_tokens(),
            rem_chunk: adder.rem_chunk_tokens(),
        }
    }

    fn run(&mut self, s: &Scenario, queue: &[Slot], yields: bool) -> Result<(), SchedError> {
        let Rank { batch, adder, .. } = &mut self.rank;
        if let Some(slot) = batch.chunked_req() {
            let limit = yields.then(|| adder.chunk_limit_for_shorter(batch, slot)).flatten();
            adder.add_chunked_req(batch, slot, limit)?;
            self.note(slot, "chunk", 0);
        }
        for &slot in queue {
            let Rank { batch, adder, .. } = &mut self.rank;
            if adder.budget_state(batch) == AddReqResult::Other {
                break;
            }
            let before = batch.extend_batch().len();
            if s.allocatable.is_some_and(|rows| before >= rows)
                && !(s.preempt && adder.preempt_to_schedule(batch, slot)?)
            {
                break;
            }
            let result = adder.add_one_req(batch, slot)?;
            let name = match result {
                AddReqResult::Continue => "CONTINUE",
                AddReqResult::NoToken => "NO_TOKEN",
                AddReqResult::Other => "OTHER",
            };
            self.note(slot, name, before);
            if result != AddReqResult::Continue {
                break;
            }
        }
        Ok(())
    }

    fn note(&mut self, slot: Slot, result: &'static str, before: usize) {
        let rid = self.name(slot);
        let batch = &mut self.rank.batch;
        let slice = batch.extend_batch().get(before).copied();
        let prefix = match slice {
            Some(slice) => slice.prefix,
            None => batch.match_prefix(slot).tokens,
        };
        self.steps.push(Step {
            rid,
            result,
            admitted: slice.is_some(),
            prefix,
            extend: slice.map(|slice| slice.extend),
            chunked: slice.map(|slice| !slice.last),
        });
    }
}
