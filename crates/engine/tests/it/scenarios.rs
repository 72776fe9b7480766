//! Scenarios to try the laws on: small, and short of everything that can be short.

use proptest::option;
use proptest::prelude::*;
use sglsim_engine::{
    CacheAwareConfig, Deployment, EvictionPolicy, Fault, PolicyConfig, PoolConfig, Report,
    Scenario, SchedulePolicyName, Seconds, SimTime, Simulation,
};

/// So many cases, or what `PROPTEST_CASES` says.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: usual, ..config },
    }
}

/// One worker, few requests; tests change what they are about.
pub(crate) fn base() -> Scenario {
    Scenario::from_ron(
        r#"(
            model: "Llama-3.1-8B",
            hardware: (gpu: "H100-SXM"),
            deployment: Aggregated(),
            router: (policy: RoundRobin),
            workload: Synthetic(
                arrivals: Burst, input_len: Fixed(500), output_len: Fixed(20), requests: 1,
            ),
            oversized_requests: Refuse,
        )"#,
    )
    .unwrap()
}

/// The same with other fields, by path.
pub(crate) fn base_with(fields: &[(&str, &str)]) -> Scenario {
    fields.iter().fold(base(), |scenario, (path, value)| scenario.with(path, value).unwrap())
}

/// A prefill and a decode worker of four GPUs, and other fields, by path.
pub(crate) fn pair_with(fields: &[(&str, &str)]) -> Scenario {
    let pools = "Disaggregated(prefill: (tp_size: 4), decode: (tp_size: 4))";
    let all = [&[("deployment", pools)], fields].concat();
    base_with(&all)
}

/// Scenarios in which workers die, restart and slow down, links fail and clients go away.
pub(crate) fn faulty() -> impl Strategy<Value = Scenario> {
    let seconds = |s: f64| Seconds::new(s).unwrap();
    let at = |s: f64| SimTime::new(s).unwrap();
    let client = option::weighted(0.4, (0.01_f64..1.5).prop_map(seconds));
    let times = [0.0_f64..1.0, 0.001..0.5];
    let crash = (any::<u32>(), times[0].clone(), option::of(times[1].clone()));
    let slow = (any::<u32>(), times[0].clone(), times[1].clone(), 1.0_f64..20.0);
    let link =
        (any::<u32>(), times[0].clone(), times[1].clone(), prop_oneof![Just(0.0), Just(0.3)]);
    let rolling = option::of((0_usize..2, 0.0_f64..0.5, 0.001_f64..0.2));
    let router = (any::<bool>(), option::weighted(0.3, 1_i64..40), option::of(0.02_f64..0.5));
    (scenarios(), client, option::of(crash), option::of(slow), option::of(link), rolling, router)
        .prop_map(move |(mut scenario, client, crash, slow, link, rolling, router)| {
            let (prefill, decode) = match &scenario.deployment {
                Deployment::Aggregated(pool) => (pool.workers, 0),
                Deployment::Disaggregated { prefill, decode } => (prefill.workers, decode.workers),
            };
            let workers = prefill + decode;
            scenario.client_timeout = client;
            if let Some((worker, from, down)) = crash
                && rolling.is_none()
            {
                let down = down.map(seconds);
                scenario.faults.push(Fault::Crash { worker: worker % workers, at: at(from), down });
            }
            if let Some((worker, from, lasts, factor)) = slow {
                let (worker, until) = (worker % workers, at(from + lasts));
                scenario.faults.push(Fault::Slow { worker, at: at(from), until, factor });
            }
            if let Some((worker, from, lasts, bandwidth)) = link
                && decode > 0
            {
                let (worker, until) = (worker % workers, at(from + lasts));
                scenario.faults.push(Fault::Adapters { worker, at: at(from), until, bandwidth });
            }
            if let Some((pool, from, down)) = rolling {
                let pool = if decode > 0 { ["prefill", "decode"][pool] } else { "worker" };
                let (pool, at, down) = (pool.to_owned(), at(from), seconds(down));
                scenario.faults.push(Fault::RollingRestart { pool, at, down });
            }
            let (retries, limit, timeout) = router;
            scenario.router.retry.disable_retries = !retries;
            scenario.router.circuit_breaker.cb_timeout_duration_secs = seconds(0.3);
            scenario.router.health_check.health_check_interval_secs = seconds(0.05);
            scenario.router.limits.max_concurrent_requests = limit.unwrap_or(-1);
            if let Some(timeout) = timeout {
                scenario.router.request_timeout_secs = seconds(timeout * 4.0);
                scenario.router.waiting_timeout = seconds(timeout);
            }
            scenario
        })
}

pub(crate) fn run(scenario: &Scenario) -> Report {
    Simulation::new(scenario.clone()).unwrap().run().unwrap()
}

/// What a user finds in the folder of a report.
pub(crate) fn bytes(report: &Report, scenario: &Scenario) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    report.write_to(folder.path(), scenario).unwrap();
    ["report.json", "requests.csv"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap())
}

fn router() -> impl Strategy<Value = PolicyConfig> {
    prop_oneof![
        Just(PolicyConfig::RoundRobin),
        Just(PolicyConfig::Random),
        Just(PolicyConfig::PowerOfTwo),
        Just(PolicyConfig::CacheAware(CacheAwareConfig {
            cache_threshold: 0.5,
            balance_abs_threshold: 4,
            eviction_interval: Seconds::new(1.0).unwrap(),
            max_tree_size: 10_000,
            ..CacheAwareConfig::default()
        })),
    ]
}

fn pool(reserve: u64) -> BoxedStrategy<PoolConfig> {
    let chunk =
        prop_oneof![Just(None), Just(Some(-1)), (2_i64..9).prop_map(|pages| Some(64 * pages))];
    let policy = prop_oneof![
        Just(SchedulePolicyName::Fcfs),
        Just(SchedulePolicyName::Lpm),
        Just(SchedulePolicyName::Lof),
    ];
    let eviction = prop_oneof![
        Just(EvictionPolicy::Lru),
        Just(EvictionPolicy::Lfu),
        Just(EvictionPolicy::Fifo),
    ];
    let cautiousness = prop_oneof![0.01_f64..0.1, 0.1_f64..1.2];
    let sizes = (1_u32..3, 1_u32..3, prop_oneof![Just(1_u32), Just(16), Just(64)]);
    let limits = (
        option::weighted(0.3, 1_u32..12),
        option::weighted(0.8, 8_u64..30),
        prop_oneof![Just(16_384_u32), 200_u32..700],
    );
    (sizes, limits, chunk, policy, eviction, any::<bool>(), cautiousness)
        .prop_map(
            move |(
                (workers, dp, page),
                (running, total, prefill),
                chunk,
                policy,
                eviction,
                off,
                c,
            )| {
                PoolConfig {
                    workers,
                    tp_size: 2,
                    dp_size: dp,
                    page_size: page,
                    max_running_requests: running.map(|running| running * dp),
                    max_total_tokens: total.map(|pages| 64 * pages + reserve),
                    max_prefill_tokens: prefill,
                    chunked_prefill_size: chunk.map(|c| if c > 0 { c * i64::from(dp) } else { c }),
                    schedule_policy: policy,
                    radix_eviction_policy: eviction,
                    disable_radix_cache: off,
                    schedule_conservativeness: c,
                    ..PoolConfig::default()
                }
            },
        )
        .boxed()
}

fn deployment() -> BoxedStrategy<Deployment> {
    prop_oneof![
        pool(0).prop_map(Deployment::Aggregated),
        // A decode worker keeps some tokens free for every request.
        (pool(0), pool(1024)).prop_map(|(prefill, decode)| {
            // KV is sent in whole pages.
            let decode = PoolConfig { page_size: prefill.page_size, ..decode };
            Deployment::Disaggregated { prefill, decode }
        }),
    ]
    .boxed()
}

/// A workload section, written as a user writes it.
fn workload(open: bool) -> BoxedStrategy<String> {
    let arrivals = if open {
        prop_oneof![
            Just("Burst".to_owned()),
            (5.0_f64..500.0).prop_map(|rate| format!("Poisson(rate: {rate})")),
            (1_u32..9).prop_map(|size| format!("Batches(size: {size}, every: 0.05)")),
        ]
        .boxed()
    } else {
        (1_u32..20, prop_oneof![Just(0.0), Just(0.01)])
            .prop_map(|(users, think)| {
                format!("ClosedLoop(concurrency: {users}, think: Exponential(mean: {think}))")
            })
            .boxed()
    };
    let prefix = option::of(1_u32..5)
        .prop_map(|groups| groups.map(|g| format!("prefix: (groups: {g}, len: Fixed(120)),")));
    let sessions = option::of(Just(
        "sessions: (turns: Uniform(min: 1, max: 4), think: Exponential(mean: 0.05)),".to_owned(),
    ));
    let limit = option::weighted(0.7, Just("max_new_tokens: 250,".to_owned()));
    (arrivals, 1_u32..500, 1_u32..250, 1_u32..80, prefix, sessions, limit)
        .prop_map(|(arrivals, input, output, requests, prefix, sessions, limit)| {
            format!(
                "(arrivals: {arrivals}, input_len: Uniform(min: 1, max: {input}),
                output_len: Uniform(min: 1, max: {output}), requests: {requests}, {}{}{})",
                prefix.unwrap_or_default(),
                sessions.unwrap_or_default(),
                limit.unwrap_or_default(),
            )
        })
        .boxed()
}

/// Outputs that are longer than admission reserves for, in a pool that does not hold them all: some
/// have to be pushed out.
fn pressed() -> impl Strategy<Value = (Deployment, String)> {
    let deployment = (deployment(), 32_u64..48).prop_map(|(mut deployment, pages)| {
        let squeeze = |pool: &mut PoolConfig| {
            pool.workers = 1;
            pool.max_running_requests = None;
            pool.max_total_tokens = Some(64 * pages);
            pool.schedule_conservativeness = 0.02;
        };
        match &mut deployment {
            Deployment::Aggregated(pool) => squeeze(pool),
            Deployment::Disaggregated { decode, .. } => squeeze(decode),
        }
        deployment
    });
    let load = (1_u32..100, 10_u32..30).prop_map(|(input, requests)| {
        format!(
            "(arrivals: Constant(rate: 100.0), input_len: Uniform(min: 1, max: {input}),
            output_len: Uniform(min: 1, max: 1200), requests: {requests}, max_new_tokens: 1200)"
        )
    });
    (deployment, load)
}

/// Any deployment under any load.
pub(crate) fn scenarios() -> BoxedStrategy<Scenario> {
    let load = prop_oneof![workload(true), workload(false)];
    let both = prop_oneof![3 => (deployment(), load), 1 => pressed()];
    (both, router(), any::<u64>())
        .prop_map(|((deployment, load), router, seed)| {
            let text = format!(
                r#"(model: "Llama-3.1-8B", hardware: (gpu: "H100-SXM"), deployment: Aggregated(),
                    workload: Synthetic{load}, oversized_requests: Refuse)"#
            );
            let mut scenario = Scenario::from_ron(&text).unwrap();
            scenario.deployment = deployment;
            scenario.router.policy = router;
            scenario.seed = seed;
            scenario
        })
        .boxed()
}
