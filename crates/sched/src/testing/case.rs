//! Random workloads on small ranks: pools that force eviction, chunking and retraction.

use rand_core::Rng;
use sglsim_radix::{
    BlockLru, EvictionPolicy, NoCache, PagePool, PageSize, PrefixCache, RadixCache, Span,
};
use sglsim_units::{RequestId, RngStreams, SimTime, TokenCount};

#[cfg(test)]
use crate::SpeculativeDecoding;
use crate::{BatchState, DisaggregationMode, Labels, Memory, SchedulerConfig, Submission};

/// One workload on one rank.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) config: SchedulerConfig,
    cache: Cache,
    /// Whether a step is chosen while the one before runs.
    pub(super) overlap: bool,
    /// Requests and the step at which each comes, in that order.
    pub(super) arrivals: Vec<(u64, Submission)>,
    /// Steps that the KV of each request is on its way.
    pub(super) delays: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Cache {
    None,
    Radix,
    BlockLru,
}

/// Whole numbers from a random stream.
pub(super) struct Draw(Box<dyn Rng>);

impl Draw {
    pub(super) fn new(seed: u64, name: &str) -> Self {
        Self(Box::new(RngStreams::new(seed).stream(name)))
    }

    /// A number in `low..=high`; the bias of the remainder does not matter here.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.next_u64() % (high - low + 1)
    }

    pub(super) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        #[expect(clippy::cast_possible_truncation, reason = "below the length of a slice")]
        let at = self.between(0, of.len() as u64 - 1) as usize;
        of[at]
    }

    fn small(&mut self, low: u64, high: u64) -> u32 {
        u32::try_from(self.between(low, high)).expect("bounds of tests are small")
    }
}

impl Case {
    pub(super) fn draw(mode: DisaggregationMode, seed: u64) -> Self {
        let mut draw = Draw::new(seed, "sched/conformance");
        let decode = mode == DisaggregationMode::Decode;
        let page = draw.one_of(&[1, 4, 16]);
        let pool = if decode { draw.between(1500, 4000) } else { draw.between(200, 700) };
        let mut config = SchedulerConfig::new(pool - pool % page, draw.one_of(&[1, 2, 5, 30]));
        config.mode = mode;
        config.page_size = u32::try_from(page).expect("a page is small");
        config.chunked_prefill_size = draw.one_of(&[None, Some(16), Some(32), Some(50), Some(96)]);
        config.max_prefill_tokens = draw.small(20, 300);
        config.schedule_conservativeness = draw.one_of(&[0.05, 0.3, 1.0]);
        config.context_length = draw.one_of(&[TokenCount::MAX, if decode { 3000 } else { 400 }]);
        let count = if decode { draw.between(1, 16) } else { draw.between(1, 40) };
        let shape = Shape::draw(&mut draw, decode);
        if shape.crowded {
            config.max_running_requests = 30;
            config.schedule_conservativeness = 0.05;
        }
        let (mut arrivals, mut delays, mut at) = (Vec::new(), Vec::new(), 0);
        for id in 0..count {
            at += draw.one_of(shape.gaps);
            let id = RequestId::from_index(usize::try_from(id).expect("few requests"));
            arrivals.push((at, shape.request(&mut draw, id)));
            delays.push(draw.one_of(&[0, 1, 5, 300]));
        }
        let cache = if decode {
            Cache::None
        } else {
            draw.one_of(&[Cache::None, Cache::Radix, Cache::Radix, Cache::BlockLru])
        };
        config.enable_mixed_chunk = !decode && draw.between(0, 2) == 0;
        config.prefill_decode_interval = draw.one_of(&[0, 0, 3]);
        let overlap = draw.between(0, 1) == 0;
        Self { seed, config, cache, overlap, arrivals, delays }
    }

    /// The same with speculative decoding; every request leaves room for what a step reserves.
    #[cfg(test)]
    pub(super) fn speculating(mode: DisaggregationMode, seed: u64) -> Self {
        let mut case = Self::draw(mode, seed);
        let config = &mut case.config;
        let mut drafts = SpeculativeDecoding::new(4, 8, vec![0.4, 0.3, 0.2, 0.1]);
        drafts.streams = RngStreams::new(seed);
        let room = config.max_total_num_tokens - 8 - 2 * TokenCount::from(config.page_size);
        config.context_length = config.context_length.min(room);
        config.speculative = Some(drafts);
        config.enable_mixed_chunk = false;
        case
    }

    /// The rank of the case, with nothing on it.
    pub(super) fn rank(&self) -> BatchState {
        let page = PageSize::new(self.config.page_size).expect("pages of a case are not empty");
        let cache: Box<dyn PrefixCache> = match self.cache {
            Cache::None => Box::new(NoCache::new(page)),
            Cache::Radix => Box::new(RadixCache::new(page, EvictionPolicy::Lru)),
            Cache::BlockLru => Box::new(BlockLru::new(page)),
        };
        let memory = Memory::new(PagePool::new(self.config.max_total_num_tokens, page), cache);
        BatchState::new(self.config.clone(), memory).expect("settings of a case are valid")
    }

    /// Where to look: appended to the message of every broken law.
    pub(super) fn place(&self, step: u64) -> String {
        let Self { seed, cache, config, overlap, .. } = self;
        let event_loop = if *overlap { "overlap" } else { "normal" };
        format!(
            "at step {step} of workload {seed}, {event_loop} loop, prefix cache {cache:?}, {config:?}"
        )
    }
}

/// What the requests of one workload have in common.
struct Shape {
    longest_prompt: u64,
    outputs: (u64, u64),
    /// Steps from one arrival to the next.
    gaps: &'static [u64],
    /// Whether many run at once and admission reserves next to nothing for them.
    crowded: bool,
}

impl Shape {
    /// Long prompts, which are chunked and evict each other; a bit of everything; or long outputs
    /// that come one by one, so that memory runs out.
    fn draw(draw: &mut Draw, decode: bool) -> Self {
        let long = if decode { 3000 } else { 400 };
        match draw.between(0, 2) {
            0 => Self {
                longest_prompt: 180,
                outputs: (1, 20),
                gaps: &[0, 0, 0, 1, 7, 40],
                crowded: false,
            },
            1 => Self {
                longest_prompt: 180,
                outputs: (1, long),
                gaps: &[0, 0, 3, 40],
                crowded: false,
            },
            _ => Self {
                longest_prompt: 30,
                outputs: if decode { (800, 2500) } else { (50, 130) },
                gaps: &[1, 2, 5],
                crowded: true,
            },
        }
    }

    fn request(&self, draw: &mut Draw, id: RequestId) -> Submission {
        let longest = self.longest_prompt;
        let shared = Span::new(draw.between(1, 3), draw.small(0, 2 * longest / 3));
        // Some prompts are the same to the last token.
        let own =
            Span::new(draw.one_of(&[10, 100 + id.index() as u64]), draw.small(1, longest / 3));
        let max_new_tokens = draw.between(self.outputs.0, self.outputs.1);
        let ignore_eos = draw.between(0, if self.crowded { 15 } else { 3 }) == 0;
        let early = draw.between(0, 1) == 0 && !ignore_eos;
        let stop_after = if early { draw.between(1, max_new_tokens) } else { max_new_tokens };
        Submission {
            id,
            prompt: [shared, own].into_iter().collect(),
            output_content: 10_000 + id.index() as u64,
            max_new_tokens,
            stop_after,
            ignore_eos,
            arrival: SimTime::ZERO,
            labels: Labels::default(),
        }
    }
}
