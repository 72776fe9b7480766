//! A timeline as Chrome trace events, which Perfetto (ui.perfetto.dev) and `chrome://tracing` show.
//!
//! Source: "Trace Event Format" of the Chromium project: complete events (`X`), counters (`C`),
//! asynchronous ones (`b`, `e`) and metadata (`M`), times in µs.

use std::io::{self, Write};

use serde_json::{Value, json};
use sglsim_units::{RequestId, SimTime};

use super::{Life, Moment, Timeline};

/// Process ids: requests, then the workers.
const REQUESTS: usize = 1;
const WORKERS: usize = 2;

impl Timeline {
    /// Writes Chrome trace events as JSON: a track for each request with the stages of its life, a track
    /// for each worker with its steps, its KV memory as a counter, transfers with their sender.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn write_chrome(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
        let mut first = true;
        let mut put = |event: Value| {
            let comma = if std::mem::take(&mut first) { "\n" } else { ",\n" };
            write!(out, "{comma}{event}")
        };
        put(named("process_name", REQUESTS, 0, "requests"))?;
        put(sorted(REQUESTS))?;
        for at in 0..self.workers.len() {
            let name = self.worker_name(sglsim_units::WorkerId::from_index(at));
            put(named("process_name", WORKERS + at, 0, &name))?;
            put(sorted(WORKERS + at))?;
            put(named("thread_name", WORKERS + at, 0, "steps"))?;
        }
        for (at, worker, name) in &self.marks {
            put(json!({
                "ph": "i", "s": "p", "name": name, "pid": WORKERS + worker.index(), "tid": 0,
                "ts": micros(*at),
            }))?;
        }
        self.write_steps(&mut put)?;
        for (id, life) in &self.lives {
            write_life(*id, life, &mut put)?;
        }
        writeln!(out, "\n]}}")
    }

    fn write_steps(&self, put: &mut impl FnMut(Value) -> io::Result<()>) -> io::Result<()> {
        // Steps of a pipeline lie over each other: each goes into the first lane that is free.
        let mut lanes: Vec<Vec<SimTime>> = vec![Vec::new(); self.workers.len()];
        for step in &self.steps {
            let (worker, began) = (step.worker.index(), step.began);
            let free = lanes[worker].iter().position(|end| *end <= began);
            let lane = free.unwrap_or_else(|| {
                lanes[worker].push(began);
                lanes[worker].len() - 1
            });
            lanes[worker][lane] = step.ended;
            let name = match (step.extended, step.decoded) {
                (0, _) => "decode",
                (_, 0) => "prefill",
                _ => "prefill and decode",
            };
            put(json!({
                "ph": "X", "name": name, "cat": "step", "pid": WORKERS + worker, "tid": lane,
                "ts": micros(began), "dur": micros(step.ended) - micros(began),
                "args": { "prefill_tokens": step.extended, "decode_tokens": step.decoded },
            }))?;
            put(json!({
                "ph": "C", "name": "KV slots in use", "pid": WORKERS + worker,
                "ts": micros(step.ended), "args": { "tokens": step.kv_used },
            }))?;
        }
        Ok(())
    }
}

/// The stages of a life, one after another on the request's own track.
fn write_life(
    id: RequestId,
    life: &Life,
    put: &mut impl FnMut(Value) -> io::Result<()>,
) -> io::Result<()> {
    let track = id.index() + 1;
    put(named("thread_name", REQUESTS, track, &format!("request {}", id.0)))?;
    for (stage, from, to) in life.stages() {
        put(json!({
            "ph": "X", "name": stage, "cat": "request", "pid": REQUESTS, "tid": track,
            "ts": micros(from), "dur": micros(to) - micros(from), "args": {},
        }))?;
    }
    let mut sender = None;
    for (nth, (at, moment)) in life.moments.iter().enumerate() {
        match *moment {
            Moment::Routed { prefill, .. } => sender = Some(prefill.worker.index()),
            Moment::Extended { tokens, of, began } => put(json!({
                "ph": "X", "name": format!("{tokens} tokens"), "cat": "chunk",
                "pid": REQUESTS, "tid": track, "ts": micros(began), "dur": micros(*at) - micros(began),
                "args": { "tokens": tokens, "of_the_step": of },
            }))?,
            Moment::Delivered { tokens, sent } => {
                let Some(sender) = sender else { continue };
                let key = format!("{}.{nth}", id.0);
                for (phase, at) in [("b", sent), ("e", *at)] {
                    put(json!({
                        "ph": phase, "name": format!("KV of request {}", id.0), "cat": "transfer", "id": key,
                        "pid": WORKERS + sender, "tid": 0, "ts": micros(at),
                        "args": { "tokens": tokens },
                    }))?;
                }
            }
            Moment::Retracted
            | Moment::Resumed
            | Moment::Refused
            | Moment::Retried { .. }
            | Moment::Failed { .. } => {
                let name = match *moment {
                    Moment::Retracted => "retracted",
                    Moment::Resumed => "resumed",
                    Moment::Retried { .. } => "retried",
                    Moment::Failed { reason } => reason.name(),
                    _ => "refused",
                };
                put(json!({
                    "ph": "i", "s": "t", "name": name, "pid": REQUESTS, "tid": track,
                    "ts": micros(*at),
                }))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn micros(at: SimTime) -> f64 {
    // Nanoseconds are exact enough, and keep files small.
    (at.seconds() * 1e9).round() / 1e3
}

fn named(what: &str, process: usize, track: usize, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": process, "tid": track, "args": { "name": name } })
}

fn sorted(process: usize) -> Value {
    json!({ "ph": "M", "name": "process_sort_index", "pid": process, "tid": 0,
        "args": { "sort_index": process } })
}
