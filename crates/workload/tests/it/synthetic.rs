//! Closed loops, bounds, shared prefixes and conversations.

use proptest::prelude::*;
use sglsim_radix::Span;
use sglsim_units::{HashMap, HashSet, Labels, RngStreams, Seconds, SimTime};
use sglsim_workload::testing::{self, Served, serve};
use sglsim_workload::{
    Arrivals, DurationLaw, Finished, LabelLaws, LengthLaw, Request, Sessions, SharedPrefix,
    SyntheticConfig, output_content,
};

fn served(config: &SyntheticConfig, seconds_per_token: f64) -> Served {
    let mut workload = config.build(RngStreams::new(42)).unwrap();
    serve(&mut *workload, 100_000, |request| {
        Seconds::new(f64::from(request.output_len) * seconds_per_token).unwrap()
    })
}

fn config(arrivals: Arrivals, requests: u64) -> SyntheticConfig {
    let (input, output) = (LengthLaw::Fixed(100), LengthLaw::Uniform { min: 1, max: 50 });
    SyntheticConfig::new(arrivals, input, output, requests)
}

fn fixed(requests: &[Request]) -> Vec<f64> {
    requests.iter().map(|request| request.arrival.seconds()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_configuration_keeps_the_laws(
        config in testing::synthetic_config(60), seed in any::<u64>()
    ) {
        testing::conformance(|| config.build(RngStreams::new(seed)).unwrap());
    }

    #[test]
    fn a_bound_and_a_closed_loop_are_never_exceeded(
        config in testing::synthetic_config(200), speed in 1e-3..1.0_f64
    ) {
        let served = served(&config, speed);
        let users = match config.arrivals {
            Arrivals::ClosedLoop { concurrency, .. } => concurrency,
            _ => u32::MAX,
        };
        let bound = users.min(config.max_concurrency.unwrap_or(u32::MAX));
        prop_assert!(served.most_in_flight as u64 <= u64::from(bound));
        if let Some(end) = config.duration && config.max_concurrency.is_none() {
            prop_assert!(served.requests.iter().all(|r| r.arrival.seconds() < end));
        }
    }

    #[test]
    fn a_next_turn_is_the_turn_before_its_answer_and_new_words(
        mut config in testing::synthetic_config(100), speed in 1e-3..1.0_f64
    ) {
        prop_assume!(config.sessions.is_some());
        config.max_concurrency = None;
        let served = served(&config, speed);
        let mut follow_ups = 0;
        for request in &served.requests {
            let spans = request.prompt.elements();
            let answer = spans.iter().rposition(|span| span.content >= 3 << 62);
            let Some(answer) = answer else { continue };
            let before = &served.requests[(spans[answer].content & 0xffff_ffff) as usize];
            let expected = Span::new(output_content(before.id), before.output_len);
            prop_assert_eq!(spans[answer], expected);
            prop_assert_eq!(&spans[..answer], before.prompt.elements());
            prop_assert_eq!(spans.len(), answer + 2);
            prop_assert!(request.arrival >= served.finished[before.id.index()]);
            let limit = config.sessions.as_ref().and_then(|sessions| sessions.max_prompt_len);
            prop_assert!(request.prompt.tokens() <= limit.unwrap_or(u64::MAX));
            follow_ups += 1;
        }
        let single = config.sessions.as_ref().is_some_and(|s| s.turns.longest() == 1);
        prop_assert!(!single || follow_ups == 0);
    }
}

#[test]
fn a_closed_loop_keeps_its_users_busy() {
    let think = DurationLaw::default();
    let served = served(&config(Arrivals::ClosedLoop { concurrency: 7, think }, 500), 0.1);
    assert_eq!(served.most_in_flight, 7);
    assert_eq!(served.requests.len(), 500);
    let finishes: HashSet<u64> = served.finished.iter().map(|at| at.seconds().to_bits()).collect();
    for request in &served.requests[7..] {
        assert!(finishes.contains(&request.arrival.seconds().to_bits()));
    }
}

#[test]
fn users_of_a_closed_loop_think_between_requests() {
    let think = DurationLaw::Fixed(3.0);
    let mut config = config(Arrivals::ClosedLoop { concurrency: 1, think }, 4);
    config.output_len = LengthLaw::Fixed(2);
    assert_eq!(fixed(&served(&config, 1.0).requests), [0.0, 5.0, 10.0, 15.0]);
}

#[test]
fn a_bounded_request_arrives_when_it_is_sent() {
    let mut config = config(Arrivals::Constant { rate: 1.0 }, 6);
    config.output_len = LengthLaw::Fixed(4);
    config.max_concurrency = Some(2);
    // Planned for 0 1 2 3 4 5, four seconds each, two at a time.
    assert_eq!(fixed(&served(&config, 1.0).requests), [0.0, 1.0, 4.0, 5.0, 8.0, 9.0]);
    config.max_concurrency = Some(4);
    assert_eq!(fixed(&served(&config, 1.0).requests), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn the_time_of_the_system_does_not_change_a_conversation() {
    let mut config = config(Arrivals::Poisson { rate: 2.0 }, 300);
    config.sessions = Some(Sessions {
        turns: LengthLaw::Uniform { min: 1, max: 5 },
        think: DurationLaw::Exponential { mean: 2.0 },
        max_prompt_len: None,
    });
    // Conversations are told apart by their first user words; each is a list of output lengths.
    let conversations = |seconds_per_token| {
        let mut all: HashMap<u64, Vec<u32>> = HashMap::default();
        for request in served(&config, seconds_per_token).requests {
            all.entry(request.prompt.elements()[0].content).or_default().push(request.output_len);
        }
        all
    };
    let (slow, fast) = (conversations(1.0), conversations(0.001));
    let mut compared = 0;
    for id in 0..300_u64 {
        let content = sglsim_workload::fresh_content(id);
        if let (Some(slow), Some(fast)) = (slow.get(&content), fast.get(&content)) {
            let shorter = slow.len().min(fast.len());
            assert_eq!(slow[..shorter], fast[..shorter]);
            compared += usize::from(shorter > 1);
        }
    }
    assert!(compared > 20, "only {compared}");
}

#[test]
fn a_conversation_ends_where_a_turn_was_refused() {
    let mut config = config(Arrivals::Burst, 10);
    config.sessions = Some(Sessions {
        turns: LengthLaw::Fixed(3),
        think: DurationLaw::default(),
        max_prompt_len: None,
    });
    config.arrivals = Arrivals::ClosedLoop { concurrency: 1, think: DurationLaw::default() };
    let mut workload = config.build(RngStreams::new(1)).unwrap();
    let mut ended = |output_len| {
        let request = workload.pop().unwrap();
        workload.on_finished(&Finished { id: request.id, at: SimTime::ZERO, output_len });
        request.prompt.elements().len()
    };
    assert_eq!([ended(1), ended(0), ended(1), ended(1), ended(1), ended(1)], [1, 3, 1, 3, 5, 1]);
}

#[test]
fn ends_of_unknown_requests_are_nothing() {
    let think = DurationLaw::default();
    let mut workload = config(Arrivals::ClosedLoop { concurrency: 1, think }, 10)
        .build(RngStreams::new(1))
        .unwrap();
    let request = workload.pop().unwrap();
    let done = Finished { id: request.id, at: SimTime::ZERO, output_len: 1 };
    workload.on_finished(&done);
    workload.on_finished(&done);
    assert!(workload.pop().is_some());
    assert!(workload.pop().is_none());
}

#[test]
fn members_of_a_group_share_its_prefix() {
    let mut config = config(Arrivals::Burst, 40_000);
    config.prefix = Some(SharedPrefix {
        groups: 4,
        len: LengthLaw::Uniform { min: 500, max: 600 },
        share: 0.75,
        skew: 1.0,
    });
    let all = served(&config, 0.0).requests;
    let mut groups: HashMap<u64, (u32, u32)> = HashMap::default();
    let mut own = HashSet::default();
    for request in &all {
        let (prefix, rest) = match request.prompt.elements() {
            [prefix, rest] => (Some(*prefix), *rest),
            [rest] => (None, *rest),
            other => panic!("{other:?}"),
        };
        assert_eq!(rest.len, 100);
        assert!(own.insert(rest.content));
        if let Some(prefix) = prefix {
            let group = groups.entry(prefix.content).or_insert((prefix.len, 0));
            assert_eq!(group.0, prefix.len);
            group.1 += 1;
        }
    }
    let near = |count: u32, share: f64| {
        let n = all.len() as f64;
        let error = (share * (1.0 - share) / n).sqrt();
        assert!((f64::from(count) / n - share).abs() < 3.0 * error, "{count} {share}");
    };
    near(groups.values().map(|group| group.1).sum(), 0.75);
    let harmonic = 1.0 + 1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0;
    for group in 0..4_u32 {
        let count = groups[&sglsim_workload::prefix_content(group)].1;
        near(count, 0.75 / f64::from(group + 1) / harmonic);
    }
}

#[test]
fn labels_are_drawn_as_often_as_asked_and_stay_with_a_conversation() {
    let plain = config(Arrivals::Burst, 4000);
    let laws =
        LabelLaws { priorities: [(0, 3.0), (10, 1.0)].into(), routing_keys: 5, extra_keys: 2 };
    let labelled = SyntheticConfig { labels: Some(laws), ..plain.clone() };
    let draw = |config: &SyntheticConfig| {
        let mut workload = config.build(RngStreams::new(1)).unwrap();
        std::iter::from_fn(|| workload.pop()).collect::<Vec<_>>()
    };
    let (with, without) = (draw(&labelled), draw(&plain));
    let share = |of: &dyn Fn(&Request) -> bool| {
        with.iter().filter(|request| of(request)).count() as f64 / with.len() as f64
    };
    // Four standard deviations of a share of 4,000 draws are below 0.03.
    assert!((share(&|request| request.labels.priority == Some(10)) - 0.25).abs() < 0.03);
    assert!((share(&|request| request.labels.routing_key == Some(4)) - 0.2).abs() < 0.03);
    assert!((share(&|request| request.labels.namespace == 1) - 0.5).abs() < 0.04);
    // The labels change nothing else.
    let bare = |request: &Request| Request { labels: Labels::default(), ..request.clone() };
    assert_eq!(with.iter().map(bare).collect::<Vec<_>>(), without);

    let wrong = LabelLaws { priorities: [(7, -1.0)].into(), ..LabelLaws::default() };
    let error = SyntheticConfig { labels: Some(wrong), ..plain }.build(RngStreams::new(1));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`labels.priorities.7` is -1"), "{error}");
}
