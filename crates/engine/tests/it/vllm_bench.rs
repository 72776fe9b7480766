//! Runs of a real engine, vLLM 0.19 on single cards (recorded by Cho et al., LLMServingSim 2.0),
//! against a simulation with the vLLM-style scheduler. No card has a table of single operators: the
//! coefficients are carried over from H100.

use serde_json::Value;
use sglsim_engine::{Prompt, Scenario, Simulation, Span};

use crate::recorded::{Recorded, Row, data, error, unzipped};

/// A run: its file, the scenario's model, GPU and pool; and the errors that LLMServingSim reports for
/// mean TTFT and TPOT, with profiles of the very same cards \[%\].
const RUNS: [(&str, &str, &str, [f64; 2]); 3] = [
    (
        "rtx4090-llama-3.1-8b",
        r#"model: "Llama-3.1-8B", context_length: 32768, hardware: (gpu: "RTX-4090")"#,
        "max_total_tokens: 41408, max_running_requests: 256, chunked_prefill_size: 2048,
         mem_fraction_static: 0.93",
        [0.6, 0.2],
    ),
    (
        "rtxpro6000-llama-3.1-8b",
        r#"model: "Llama-3.1-8B", hardware: (gpu: "RTX-PRO-6000")"#,
        "max_running_requests: 128, chunked_prefill_size: 2048, mem_fraction_static: 0.9",
        [-4.0, -1.0],
    ),
    (
        "rtxpro6000-qwen3-30b-a3b-instruct-2507",
        r#"model: "Qwen3-30B-A3B", hardware: (gpu: "RTX-PRO-6000")"#,
        // Sizes of both attention ranks together, as SGLang counts them.
        "tp_size: 2, dp_size: 2, ep_size: 2, max_running_requests: 256,
         chunked_prefill_size: 4096, mem_fraction_static: 0.9",
        [-13.6, -1.7],
    ),
];

/// The requests of a run, and its mean TTFT, mean TPOT and makespan \[s\].
fn read(file: &str) -> Option<(Vec<Row>, [f64; 3])> {
    let text = unzipped(&data("traces/vllm-bench")?.join(format!("{file}.jsonl.gz")));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |line: &Value, name: &str| line[name].as_f64().unwrap();
    let row = |(at, line): (usize, &Value)| {
        let tokens = line["input_length"].as_u64().unwrap() as u32;
        let blocks = line["hash_ids_16"].as_array().unwrap();
        let mut spans: Vec<Span> =
            blocks.iter().map(|id| Span::new(id.as_u64().unwrap(), 16)).collect();
        let rest = tokens - 16 * spans.len() as u32;
        if rest > 0 {
            spans.push(Span::new((1 << 40) + at as u64, rest));
        }
        let output = line["output_length"].as_u64().unwrap() as u32;
        (number(line, "queued_s"), Prompt::new(spans), output)
    };
    let rows = lines.iter().enumerate().map(row).collect();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let ttft = lines.iter().map(|it| number(it, "first_token_s") - number(it, "queued_s"));
    let tpot = lines.iter().filter(|it| number(it, "output_length") > 1.0).map(|it| {
        (number(it, "last_token_s") - number(it, "first_token_s"))
            / (number(it, "output_length") - 1.0)
    });
    let first = lines.iter().map(|it| number(it, "queued_s")).fold(f64::MAX, f64::min);
    let last = lines.iter().map(|it| number(it, "last_token_s")).fold(0.0, f64::max);
    Some((rows, [mean(ttft.collect()), mean(tpot.collect()), last - first]))
}

#[test]
fn real_runs_of_vllm_are_met_from_datasheets() {
    for (file, of, pool, peer) in RUNS {
        let Some((rows, measured)) = read(file) else { return };
        let requests = rows.len() as u64;
        let scenario = format!(
            "({of},
              deployment: Aggregated(scheduler: vllm, page_size: 16, cuda_graph_max_bs: 512, {pool}),
              workload: Synthetic(
                  arrivals: Burst, input_len: Fixed(1), output_len: Fixed(1), requests: 1,
              ))"
        );
        let simulation = Simulation::new(Scenario::from_ron(&scenario).unwrap()).unwrap();
        let source = simulation.plan().pools[0].coefficients.provenance.clone();
        let report = simulation.workload(Box::new(Recorded::new(rows))).run().unwrap();
        assert_eq!((report.completed, report.refused), (requests, 0));
        let ours = [report.ttft.mean, report.tpot.mean, report.duration.get()];
        println!(
            "{file} ({source}); LLMServingSim: TTFT {:+.1} %, TPOT {:+.1} %",
            peer[0], peer[1]
        );
        for ((name, ours), measured) in ["TTFT", "TPOT", "makespan"].iter().zip(ours).zip(measured)
        {
            println!(
                "  {name} {ours:.4} s, measured {measured:.4} s: {:+.1} %",
                error(ours, measured)
            );
        }
        // Steps and makespan; the mean TTFT of an overloaded run is a small difference of large times.
        assert!(error(ours[1], measured[1]).abs() < 35.0, "{file}: TPOT");
        assert!(error(ours[2], measured[2]).abs() < 35.0, "{file}: makespan");
    }
}
