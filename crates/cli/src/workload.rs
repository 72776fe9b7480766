//! What a workload is, found by drawing it to its end.

use ron::Options;
use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::Serialize;
use sglsim_engine::{DeploymentPlan, Finished, Request, Workload, WorkloadConfig};

use crate::number::{count, number};

/// Requests that are drawn at most: a longer workload is described by its beginning.
const MOST: u64 = 1_000_000;

/// Facts about the requests of a workload.
///
/// Conversations and closed loops wait for answers: they get them at once, which does not change the
/// requests, but makes their times meaningless.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    requests: u64,
    whole: bool,
    last: f64,
    input: Lengths,
    output: Lengths,
    /// Requests that no worker of the deployment can hold, and the longest prompt among them.
    pub(crate) oversized: Lengths,
}

/// How many, and how long.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    pub(crate) count: u64,
    total: u64,
    pub(crate) longest: u64,
}

impl Lengths {
    fn add(&mut self, tokens: u64) {
        self.count += 1;
        self.total += tokens;
        self.longest = self.longest.max(tokens);
    }

    fn mean(&self) -> f64 {
        self.total as f64 / self.count.max(1) as f64
    }

    fn text(&self) -> String {
        format!("{} tokens on average, at most {}", number(self.mean()), count(self.longest))
    }
}

impl Facts {
    pub(crate) fn of(workload: &mut dyn Workload, plan: &DeploymentPlan) -> Self {
        let mut facts = Self::default();
        while facts.requests < MOST {
            let Some(request) = workload.pop() else {
                facts.whole = true;
                break;
            };
            facts.add(&request, plan);
            workload.on_finished(&Finished {
                id: request.id,
                at: request.arrival,
                output_len: request.output_len,
            });
        }
        facts
    }

    fn add(&mut self, request: &Request, plan: &DeploymentPlan) {
        let tokens = request.prompt.tokens();
        self.requests += 1;
        self.last = request.arrival.seconds();
        self.input.add(tokens);
        self.output.add(u64::from(request.output_len));
        let fits = |pool: &sglsim_engine::PoolPlan| {
            pool.scheduler.check_prompt(request.id, tokens).is_ok()
        };
        if !plan.pools.iter().all(fits) {
            self.oversized.add(tokens);
        }
    }

    /// Mean lengths of prompts and answers, in whole tokens.
    pub(crate) fn mean_lengths(&self) -> (u64, u64) {
        (self.input.mean().round() as u64, self.output.mean().round() as u64)
    }

    /// Lines for a reader.
    pub(crate) fn lines(&self, name: &str, config: &WorkloadConfig) -> Vec<(&'static str, String)> {
        let mut requests = count(self.requests);
        if !self.whole {
            requests = format!("more than {requests}; of those");
        }
        let mut lines = vec![("source", name.to_owned()), ("requests", requests)];
        match config {
            WorkloadConfig::Trace(trace) => {
                let speed = trace.replay.speed;
                let faster = if speed == 1.0 { String::new() } else { format!(" (speed {speed})") };
                let rate = self.requests as f64 / self.last;
                let arrivals = if self.last > 0.0 {
                    format!("{} per second over {} s{faster}", number(rate), number(self.last))
                } else {
                    "all at once".to_owned()
                };
                lines.push(("arrivals", arrivals));
            }
            WorkloadConfig::Synthetic(laws) => {
                let of = if laws.sessions.is_some() { " of conversations" } else { "" };
                lines.push(("arrivals", law(&laws.arrivals) + of));
                lines.push(("input law", law(&laws.input_len)));
                lines.push(("output law", law(&laws.output_len)));
                if let Some(prefix) = &laws.prefix {
                    lines.push(("shared prefixes", law(prefix)));
                }
                if let Some(sessions) = &laws.sessions {
                    lines.push(("conversations", law(sessions)));
                }
            }
        }
        lines.push(("prompts", self.input.text()));
        lines.push(("outputs", self.output.text()));
        lines
    }
}

/// A law as a scenario file writes it, on one line.
pub(crate) fn law(law: &impl Serialize) -> String {
    let pretty = PrettyConfig::new().compact_structs(true).compact_arrays(true).compact_maps(true);
    // As in a scenario file: `CacheAware(…)`, not `CacheAware((…))`.
    let options = Options::default().with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES);
    options.to_string_pretty(law, pretty).expect("a law is plain data")
}
