//! Draws whole conversations, one after another.

use std::collections::VecDeque;

use rand::RngExt;
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64Mcg;
use sglsim_radix::Span;
use sglsim_units::{Labels, RngStreams, Seconds};

use super::config::{LabelLaws, SyntheticConfig};
use crate::content::{fresh_content, prefix_content};
use crate::error::WorkloadError;
use crate::laws::{DurationSampler, LengthSampler, Stream};

/// The samplers of a workload. A conversation is drawn whole when it begins, so that the order in
/// which a system finishes requests changes nothing about what they are.
#[derive(Debug)]
pub(super) struct Draws {
    input_len: Stream<LengthSampler>,
    output_len: Stream<LengthSampler>,
    turns: Option<Stream<LengthSampler>>,
    think: Stream<DurationSampler>,
    prefix: Option<Prefixes>,
    labels: Option<LabelDraws>,
    fresh: u64,
}

/// Who gets which labels.
#[derive(Debug)]
struct LabelDraws {
    laws: LabelLaws,
    priorities: Pcg64Mcg,
    routing_keys: Pcg64Mcg,
    extra_keys: Pcg64Mcg,
}

/// The shared prefixes and who gets which.
#[derive(Debug)]
struct Prefixes {
    lengths: Vec<u32>,
    share: f64,
    popularity: Zipf<f64>,
    members: Pcg64Mcg,
    groups: Pcg64Mcg,
}

/// One turn of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Tokens the user adds.
    user: Span,
    pub(super) output_len: u32,
    /// Time the user takes before this turn.
    think: Seconds,
}

/// A conversation: what was said, and what will be.
#[derive(Debug)]
pub(super) struct Session {
    /// Prefix, user tokens and answers so far.
    pub(super) history: Vec<Span>,
    pub(super) labels: Labels,
    turns: VecDeque<Turn>,
}

impl Draws {
    pub(super) fn new(
        config: &SyntheticConfig,
        streams: RngStreams,
    ) -> Result<Self, WorkloadError> {
        let lengths = |law: &crate::LengthLaw, field: &str| {
            Ok::<_, WorkloadError>(Stream::new(
                law.sampler(field)?,
                streams,
                &format!("workload/{field}"),
            ))
        };
        let think = config.sessions.as_ref().map(|sessions| sessions.think.clone());
        let think = think.unwrap_or_default().sampler("sessions.think")?;
        let mut turns = None;
        if let Some(sessions) = &config.sessions {
            turns = Some(lengths(&sessions.turns, "sessions.turns")?);
        }
        let mut prefix = None;
        if let Some(shared) = &config.prefix {
            let mut length = lengths(&shared.len, "prefix.len")?;
            prefix = Some(Prefixes {
                lengths: (0..shared.groups).map(|_| length.draw()).collect(),
                share: shared.share,
                popularity: crate::laws::zipf("prefix.skew", shared.groups, shared.skew)?,
                members: streams.stream("workload/prefix.share"),
                groups: streams.stream("workload/prefix.group"),
            });
        }
        Ok(Self {
            input_len: lengths(&config.input_len, "input_len")?,
            output_len: lengths(&config.output_len, "output_len")?,
            turns,
            think: Stream::new(think, streams, "workload/sessions.think"),
            prefix,
            labels: config.labels.clone().map(|laws| LabelDraws {
                laws,
                priorities: streams.stream("workload/labels.priorities"),
                routing_keys: streams.stream("workload/labels.routing_keys"),
                extra_keys: streams.stream("workload/labels.extra_keys"),
            }),
            fresh: 0,
        })
    }

    /// The next conversation; without a law of turns it is a single request.
    pub(super) fn session(&mut self) -> Session {
        let turns = self.turns.as_mut().map_or(1, |turns| turns.draw());
        let history = self.prefix.as_mut().and_then(Prefixes::draw).into_iter().collect();
        let turns = (0..turns).map(|_| self.turn()).collect();
        let labels = self.labels.as_mut().map(LabelDraws::draw).unwrap_or_default();
        Session { history, labels, turns }
    }

    fn turn(&mut self) -> Turn {
        let content = fresh_content(self.fresh);
        self.fresh += 1;
        Turn {
            user: Span::new(content, self.input_len.draw()),
            output_len: self.output_len.draw(),
            think: self.think.draw(),
        }
    }
}

impl LabelDraws {
    fn draw(&mut self) -> Labels {
        let one_of = |rng: &mut Pcg64Mcg, many: u32| (many > 0).then(|| rng.random_range(0..many));
        let routing_key = one_of(&mut self.routing_keys, self.laws.routing_keys);
        let namespace = one_of(&mut self.extra_keys, self.laws.extra_keys).unwrap_or(0);
        let all: f64 = self.laws.priorities.values().sum();
        let mut left = self.priorities.random::<f64>() * all;
        let chosen = self.laws.priorities.iter().find(|(_, weight)| {
            left -= **weight;
            left < 0.0
        });
        // Rounding may leave a hair behind the last one.
        let chosen = chosen.or_else(|| self.laws.priorities.last_key_value());
        Labels { namespace, priority: chosen.map(|(priority, _)| *priority), routing_key }
    }
}

impl Prefixes {
    fn draw(&mut self) -> Option<Span> {
        // Both are drawn for everyone: a larger share adds members and moves none.
        let member = self.members.random::<f64>() < self.share;
        let rank = self.popularity.sample(&mut self.groups) as usize;
        let group = rank.clamp(1, self.lengths.len()) - 1;
        let content = prefix_content(u32::try_from(group).expect("groups are counted in 32 bits"));
        member.then(|| Span::new(content, self.lengths[group]))
    }
}

impl Session {
    /// Says the user's next words: they become part of the history.
    pub(super) fn start_turn(&mut self) -> Turn {
        let turn = self.turns.pop_front().expect("a conversation is kept only while it has turns");
        self.history.push(turn.user);
        turn
    }

    pub(super) fn has_more(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Tokens of the next prompt, `None` after the last turn.
    pub(super) fn next_prompt_len(&self) -> Option<u64> {
        let next = self.turns.front()?;
        let said: u64 = self.history.iter().map(|span| u64::from(span.len)).sum();
        Some(said + u64::from(next.user.len))
    }

    /// Time before the next turn.
    pub(super) fn think(&self) -> Seconds {
        self.turns.front().map_or(Seconds::ZERO, |turn| turn.think)
    }
}
