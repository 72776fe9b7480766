//! Which attention rank of a worker gets a request.

use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sglsim_sched::BatchState;
use sglsim_units::{RngStreams, SimTime, TokenCount};

/// How requests are spread over the attention ranks of a worker (`--load-balance-method`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalanceMethod {
    /// By room on workers that only prefill, in turn on others.
    #[default]
    Auto,
    /// In turn.
    RoundRobin,
    /// By the number of the room in which the prefill and the decode worker meet, which is random.
    FollowBootstrapRoom,
    /// To the rank with the fewest requests, the first of equals.
    TotalRequests,
    /// To the rank with the fewest tokens in use or in its queue, then the fewest requests.
    TotalTokens,
}

/// What is known of one rank.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    requests: usize,
    tokens: TokenCount,
}

/// Spreads the requests of one worker.
///
/// Loads are looked up at most every 20 ms. In between, the rank that gets a request is charged with it.
///
/// # Source
///
/// SGLang 0.5.23, `managers/data_parallel_controller.py:DPBudget`.
pub(crate) struct Balancer {
    method: LoadBalanceMethod,
    next: usize,
    loads: Vec<Load>,
    looked_up: Option<SimTime>,
    rooms: Box<dyn Rng + Send>,
}

/// Time for which loads are not looked up again \[s\].
const REFRESH: f64 = 0.02;

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Balancer {
    pub(crate) fn new(method: LoadBalanceMethod, ranks: usize, streams: RngStreams) -> Self {
        let rooms = Box::new(streams.stream("engine/bootstrap rooms"));
        Self { method, next: 0, loads: vec![Load::default(); ranks], looked_up: None, rooms }
    }

    /// The rank that gets a request of so many prompt tokens.
    pub(crate) fn choose<'a>(
        &mut self,
        now: SimTime,
        prompt: TokenCount,
        ranks: impl Iterator<Item = &'a BatchState>,
    ) -> usize {
        match self.method {
            LoadBalanceMethod::FollowBootstrapRoom => {
                #[expect(clippy::cast_possible_truncation, reason = "below the number of ranks")]
                let rank = (self.rooms.next_u64() % self.loads.len() as u64) as usize;
                return rank;
            }
            LoadBalanceMethod::Auto | LoadBalanceMethod::RoundRobin => {
                let rank = self.next;
                self.next = (rank + 1) % self.loads.len();
                return rank;
            }
            LoadBalanceMethod::TotalRequests | LoadBalanceMethod::TotalTokens => {}
        }
        if self.looked_up.is_none_or(|at| now.since(at).get() >= REFRESH) {
            self.looked_up = Some(now);
            for (load, batch) in self.loads.iter_mut().zip(ranks) {
                let tokens = batch.memory().used() + batch.queued_tokens();
                *load = Load { requests: batch.len(), tokens };
            }
        }
        let by_tokens = self.method == LoadBalanceMethod::TotalTokens;
        let least = (self.loads.iter().enumerate())
            .min_by_key(|(_, load)| (if by_tokens { load.tokens } else { 0 }, load.requests));
        let rank = least.map_or(0, |(rank, _)| rank);
        self.loads[rank].requests += 1;
        self.loads[rank].tokens += if by_tokens { prompt } else { 0 };
        rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglsim_radix::{NoCache, PagePool, PageSize, Span};
    use sglsim_sched::{Labels, Memory, SchedulerConfig, Submission};
    use sglsim_units::RequestId;

    fn rank(queued: u32) -> BatchState {
        let pool = PagePool::new(10_000, PageSize::ONE);
        let memory = Memory::new(pool, Box::new(NoCache::new(PageSize::ONE)));
        let mut batch = BatchState::new(SchedulerConfig::new(10_000, 10), memory).unwrap();
        if queued > 0 {
            let new = Submission {
                id: RequestId(0),
                prompt: [Span::new(1, queued)].into_iter().collect(),
                output_content: 2,
                max_new_tokens: 5,
                stop_after: 5,
                ignore_eos: true,
                arrival: SimTime::ZERO,
                labels: Labels::default(),
            };
            batch.submit(new).unwrap();
        }
        batch
    }

    /// Ranks with one request of 100 tokens, one of 40, and none. The third is charged 30 by 30 until it
    /// has more than the second; 20 ms later what it really has, nothing, is looked up again.
    #[test]
    fn tokens_are_charged_until_loads_are_looked_up() {
        let ranks = [rank(100), rank(40), rank(0)];
        let mut balancer = Balancer::new(LoadBalanceMethod::TotalTokens, 3, RngStreams::new(1));
        let mut choose = |at: f64| balancer.choose(SimTime::new(at).unwrap(), 30, ranks.iter());
        assert_eq!([choose(0.0), choose(0.01), choose(0.015), choose(0.019)], [2, 2, 1, 2]);
        assert_eq!(choose(0.02), 2);
    }

    #[test]
    fn requests_are_counted() {
        let ranks = [rank(100), rank(40), rank(0)];
        let mut balancer = Balancer::new(LoadBalanceMethod::TotalRequests, 3, RngStreams::new(1));
        let mut choose = || balancer.choose(SimTime::ZERO, 30, ranks.iter());
        assert_eq!([choose(), choose(), choose(), choose()], [2, 0, 1, 2]);
    }

    #[test]
    fn rooms_are_random_and_turns_are_not() {
        let ranks = [rank(0), rank(0)];
        let of = |method| {
            let mut balancer = Balancer::new(method, 2, RngStreams::new(1));
            (0..64).map(|_| balancer.choose(SimTime::ZERO, 1, ranks.iter())).collect::<Vec<_>>()
        };
        let turns: Vec<usize> = (0..64).map(|n| n % 2).collect();
        assert_eq!(of(LoadBalanceMethod::RoundRobin), turns);
        let rooms = of(LoadBalanceMethod::FollowBootstrapRoom);
        let ones = rooms.iter().sum::<usize>();
        assert!(rooms != turns && (16..48).contains(&ones), "{ones}");
    }
}
