//! The points of the design: models, hardware, deployments, knobs and workloads, drawn at random.

use rand::RngExt;
use sglsim_engine::{Deployment, DeploymentPlan, RngStreams, Scenario, WorkloadConfig};
use sglsim_workload::LengthLaw;

/// One point: a scenario at saturation, and what makes another load of it.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// Its number in the design.
    pub(crate) number: usize,
    /// The scenario, all of whose requests come at once.
    pub(crate) scenario: Scenario,
    /// Load of the second run.
    pub(crate) load: Offered,
}

/// How requests come in the second run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Offered {
    /// At this share of the saturated rate, with gaps of this coefficient of variation.
    Open {
        /// Share of the saturated rate.
        share: f64,
        /// Coefficient of variation of the gaps.
        cv: f64,
    },
    /// From users, so many that this share of the saturated rate is about what they ask for.
    Closed {
        /// Share of the requests that are in flight at saturation.
        share: f64,
        /// Time to think over the time to be served.
        think: f64,
    },
}

/// Model, GPU, GPUs of a worker, attention ranks, expert ranks.
const WORKERS: [(&str, &str, u32, u32, u32); 18] = [
    ("Llama-3.1-8B", "H100-SXM", 1, 1, 1),
    ("Llama-3.1-8B", "A100-80G-SXM", 1, 1, 1),
    ("Llama-3.1-8B", "H200", 2, 1, 1),
    ("Qwen3-8B", "L40S", 1, 1, 1),
    ("Qwen3-32B", "H100-SXM", 2, 1, 1),
    ("Qwen3-32B", "H200", 4, 1, 1),
    ("Llama-3.1-70B", "H100-SXM", 4, 1, 1),
    ("Llama-3.1-70B", "H100-SXM", 8, 1, 1),
    ("Llama-3.1-70B", "H200", 4, 1, 1),
    ("Llama-3.1-70B", "A100-80G-SXM", 8, 1, 1),
    ("Qwen3-30B-A3B", "H100-SXM", 1, 1, 1),
    ("Qwen3-30B-A3B", "H200", 4, 2, 4),
    ("gpt-oss-120b", "H100-SXM", 4, 1, 1),
    ("Mixtral-8x7B", "H100-SXM", 4, 1, 1),
    ("Qwen3-235B-A22B", "H200", 8, 4, 8),
    ("DeepSeek-V3", "H200", 8, 1, 1),
    ("DeepSeek-V3", "H200", 8, 8, 8),
    ("DeepSeek-V3", "H200", 16, 16, 16),
];

impl Point {
    /// Point `number` of the design of a seed.
    ///
    /// # Panics
    ///
    /// If no deployment of a hundred can be.
    #[must_use]
    pub(crate) fn random(seed: u64, number: usize) -> Self {
        let streams = RngStreams::new(seed).child(number as u64);
        let tries = (0..100).map(|attempt| streams.child(attempt));
        let mut feasible = tries.filter_map(|streams| draw(streams, number));
        feasible.next().expect("most deployments can be")
    }

    /// The scenario of the second run, when the first served `rate` requests per second with
    /// `concurrency` in flight for `e2e` seconds each.
    ///
    /// # Errors
    ///
    /// If the load is no load, as of a run that served nothing.
    pub(crate) fn loaded(
        &self,
        rate: f64,
        concurrency: f64,
        e2e: f64,
    ) -> Result<Scenario, Box<dyn std::error::Error + Send + Sync>> {
        let (arrivals, in_flight) = match self.load {
            Offered::Open { share, cv } => {
                (format!("Gamma(rate: {}, cv: {cv})", share * rate), share * concurrency)
            }
            Offered::Closed { share, think } => {
                let users = (share * concurrency).max(1.0).round();
                (
                    format!(
                        "ClosedLoop(concurrency: {users}, think: Exponential(mean: {}))",
                        think * e2e
                    ),
                    users,
                )
            }
        };
        let requests = (20.0 * in_flight).clamp(3000.0, 20_000.0);
        let scenario = self.scenario.with("workload.arrivals", &arrivals)?;
        Ok(scenario.with("workload.requests", &requests.round().to_string())?)
    }
}

fn draw(streams: RngStreams, number: usize) -> Option<Point> {
    let mut rng = streams.stream("design");
    let (model, gpu, tp, dp, ep) = WORKERS[rng.random_range(0..WORKERS.len())];
    let mut pool = |most: u32, prefills: bool| {
        let workers = rng.random_range(1..=most);
        let mut pool = format!("workers: {workers}, tp_size: {tp}, dp_size: {dp}, ep_size: {ep}");
        if prefills && rng.random_range(0..3) > 0 {
            let chunk = [1024, 2048, 4096, 8192, 16384][rng.random_range(0..5)] * dp;
            pool += &format!(", chunked_prefill_size: Some({chunk})");
        }
        if rng.random_range(0..3) == 0 {
            let requests = [16, 32, 64, 128, 256][rng.random_range(0..5)] * dp;
            pool += &format!(", max_running_requests: Some({requests})");
        }
        if rng.random_range(0..5) == 0 {
            pool += ", disable_overlap_schedule: true";
        }
        pool
    };
    let (first, second) = (pool(4, true), pool(3, false));
    let deployment = if rng.random_range(0..5) < 3 {
        format!("Aggregated({first})")
    } else {
        format!("Disaggregated(prefill: ({first}), decode: ({second}))")
    };
    let mut log_uniform =
        |low: f64, high: f64| (rng.random_range(low.ln()..high.ln())).exp().round();
    let (input, output) = (log_uniform(150.0, 8000.0), log_uniform(20.0, 800.0));
    let mut lengths = |mean: f64| match rng.random_range(0..4) {
        0 => format!("Uniform(min: 1, max: {})", 2.0 * mean),
        1 => format!("LogNormal(mean: {mean}, cv: 0.4, max: {})", 10.0 * mean),
        2 => format!("LogNormal(mean: {mean}, cv: 1.0, max: {})", 10.0 * mean),
        _ => format!("LogNormal(mean: {mean}, cv: 0.7, max: {})", 10.0 * mean),
    };
    let (inputs, outputs) = (lengths(input), lengths(output));
    let prefix = if rng.random_range(0..3) == 0 {
        let groups = rng.random_range(1..40);
        format!("prefix: (groups: {groups}, len: Fixed({})), ", (input * 0.5).round())
    } else {
        String::new()
    };
    let policy = ["RoundRobin", "RoundRobin", "CacheAware()", "PowerOfTwo", "Random"]
        [rng.random_range(0..5)];
    let load = if rng.random_range(0..4) > 0 {
        let cv = [1.0, 1.0, 0.5, 2.0][rng.random_range(0..4)];
        Offered::Open { share: rng.random_range(0.3..0.9), cv }
    } else {
        let think = [0.0, 0.0, 0.5, 2.0][rng.random_range(0..4)];
        Offered::Closed { share: rng.random_range(0.1..0.9), think }
    };
    let scenario = |requests: f64| {
        Scenario::from_ron(&format!(
            "(model: \"{model}\", hardware: (gpu: \"{gpu}\"), deployment: {deployment}, \
             router: (policy: {policy}), workload: Synthetic(arrivals: Burst, input_len: {inputs}, \
             output_len: {outputs}, {prefix}requests: {requests}), oversized_requests: Refuse)"
        ))
    };
    let scenario = scenario(1000.0).unwrap_or_else(|error| panic!("{error}"));
    let plan = DeploymentPlan::of(&scenario, ".".as_ref()).ok()?;
    let last = plan.pools.last()?;
    // Workers with hardly any memory are no deployment that anyone asks about.
    let room = last.fit.max_total_num_tokens as f64 / (input + output);
    if room < 8.0 {
        return None;
    }
    let ranks = f64::from(last.workers * last.plan.dp_size);
    let cap = last.config.max_running_requests.map_or(f64::INFINITY, f64::from);
    let in_flight = (room * ranks).min(cap * f64::from(last.workers));
    let requests = (6.0 * in_flight).max(2000.0).round();
    if requests > 30_000.0 {
        return None;
    }
    let scenario = scenario.with("workload.requests", &requests.to_string()).ok()?;
    Some(Point { number, scenario, load })
}

impl Point {
    /// The point in a line.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let pool = |pool: &sglsim_engine::PoolConfig| {
            let mut words = format!("{} x TP{}", pool.workers, pool.tp_size);
            if pool.dp_size > 1 {
                words += &format!(" DP{}", pool.dp_size);
            }
            if let Some(chunk) = pool.chunked_prefill_size {
                words += &format!(" chunk {chunk}");
            }
            if let Some(requests) = pool.max_running_requests {
                words += &format!(" {requests} running");
            }
            if pool.disable_overlap_schedule {
                words += " normal loop";
            }
            words
        };
        let deployment = match &self.scenario.deployment {
            Deployment::Aggregated(one) => pool(one),
            Deployment::Disaggregated { prefill, decode } => {
                format!("{} + {}", pool(prefill), pool(decode))
            }
        };
        let WorkloadConfig::Synthetic(workload) = &self.scenario.workload else {
            return deployment;
        };
        let policy = format!("{:?}", self.scenario.router.policy);
        let policy = policy.split('(').next().unwrap_or_default();
        let lengths = |law: &LengthLaw| match *law {
            LengthLaw::LogNormal { mean, cv, .. } => format!("{mean} (cv {cv})"),
            LengthLaw::Uniform { max, .. } => format!("1-{max}"),
            ref other => format!("{other:?}"),
        };
        let load = match self.load {
            Offered::Open { cv, .. } => format!("open loop, cv {cv}"),
            Offered::Closed { think, .. } => format!("closed loop, think {think}"),
        };
        let prefixes = if workload.prefix.is_some() { " with prefixes" } else { "" };
        format!(
            "{} on {}, {deployment}, {policy}, {}{prefixes} + {} tokens, {load}",
            self.scenario.model,
            self.scenario.hardware.gpu,
            lengths(&workload.input_len),
            lengths(&workload.output_len),
        )
    }
}
