//! The report as JSON: SGLang's `bench_serving` keys beside ours.

use serde_json::{Map, Value, json};

use super::{LinkReport, PoolReport, Report, WorkerReport};
use crate::metrics::Summary;

/// Version of the JSON form; a key that changes its meaning raises it.
const VERSION: u32 = 1;

const MILLIS: f64 = 1e3;

impl Report {
    /// The report as JSON. Keys that SGLang's `bench_serving` writes have its names and units
    /// (times in ms); ours are `*_per_gpu`, `cache_hit_rate`, `queue_time`, `transfer_time`,
    /// `retractions`, `pools` and so on.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        put("format", json!({ "name": "sglsim-report", "version": VERSION }));
        put("backend", json!("sglsim"));
        put("model", json!(self.model));
        put("workload", json!(self.workload));
        put("seed", json!(self.seed));
        put("latency_source", json!(self.latency_source));
        put("formula_available", json!(self.formula_available));
        put("duration", json!(self.duration.get()));
        put("completed", json!(self.completed));
        put("refused", json!(self.refused));
        put("failed", json!(self.failed));
        put("retries", json!(self.retries));
        put("total_input_tokens", json!(self.total_input_tokens));
        put("total_output_tokens", json!(self.total_output_tokens));
        put("total_cached_tokens", json!(self.total_cached_tokens));
        put("total_host_cached_tokens", json!(self.total_host_cached_tokens));
        put("gpus", json!(self.gpus));
        let gpus = f64::from(self.gpus.max(1));
        for (key, value) in [
            ("request_throughput", self.request_throughput()),
            ("input_throughput", self.input_throughput()),
            ("output_throughput", self.output_throughput()),
            ("total_throughput", self.total_throughput()),
        ] {
            put(key, json!(value));
            put(&format!("{key}_per_gpu"), json!(value / gpus));
        }
        for (name, summary) in [
            ("ttft", self.ttft),
            ("itl", self.itl),
            ("tpot", self.tpot),
            ("e2e_latency", self.e2e),
            ("queue_time", self.queue_time),
            ("transfer_time", self.transfer_time),
        ] {
            let Summary { mean, std, p50, p90, p95, p99, max, .. } = summary.scaled(MILLIS);
            for (statistic, value) in [
                ("mean", mean),
                ("median", p50),
                ("std", std),
                ("p90", p90),
                ("p95", p95),
                ("p99", p99),
                ("max", max),
            ] {
                put(&format!("{statistic}_{name}_ms"), json!(value));
            }
        }
        put("cache_hit_rate", json!(self.cache_hit_rate()));
        put("retractions", json!(self.retractions));
        put("concurrency", json!(self.concurrency));
        put("max_concurrent_requests", json!(self.max_concurrent_requests));
        put("network", self.network.iter().map(LinkReport::to_json).collect());
        put("pools", self.pools.iter().map(PoolReport::to_json).collect());
        Value::Object(map)
    }
}

impl PoolReport {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "workers": self.workers,
            "gpus": self.gpus,
            "busy_share": self.busy_share,
            "kv_capacity_tokens": self.kv_capacity,
            "kv_usage": self.kv_usage,
            "kv_usage_max": self.kv_usage_max,
            "prefill_steps": self.prefill_steps,
            "decode_steps": self.decode_steps,
            "prefill_tokens": self.prefill_tokens,
            "decode_tokens": self.decode_tokens,
            "discarded_tokens": self.discarded_tokens,
            "accept_length": self.accept_length,
            "decode_batch": self.decode_batch,
            "load_seen": self.load_seen,
            "load_real": self.load_real,
            "per_worker": self.per_worker.iter().map(WorkerReport::to_json).collect::<Vec<_>>(),
        })
    }
}

impl WorkerReport {
    fn to_json(&self) -> Value {
        json!({
            "worker": self.worker.0,
            "requests": self.requests,
            "cache_hit_rate": self.cache_hit_rate,
            "waiting": self.waiting,
            "busy_share": self.busy_share,
            "kv_usage": self.kv_usage,
            "load_seen": self.load_seen,
            "load_real": self.load_real,
        })
    }
}

impl LinkReport {
    fn to_json(&self) -> Value {
        json!({
            "kind": self.kind.to_string(),
            "links": self.links,
            "utilisation": self.utilisation,
            "utilisation_max": self.utilisation_max,
            "busiest": self.busiest,
        })
    }
}
