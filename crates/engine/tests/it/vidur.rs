//! Runs of Vidur (Agrawal et al., MLSys 2024) on A100: its step times against the step law, and its
//! latencies against a simulation with its schedulers. The law's coefficients are those fitted to its
//! tables of single operators, never to these runs.

mod replay;

use serde_json::Value;
use sglsim_engine::{DeploymentPlan, Scenario, Simulation, StepFeatures, Summary};
use sglsim_kernels::RankFeatures;

use crate::recorded::{Recorded, data, error, fresh, unzipped, with_model};

/// A run: its file, the model, the scheduler with its limits, replicas, and blocks of 16 tokens.
const RUNS: [(&str, &str, &str, u32, u32); 3] = [
    (
        "llama2-7b_a100_tp1_r1_sarathi512_conv_qps4",
        "Llama-2-7B",
        "scheduler: sarathi, chunked_prefill_size: 512,",
        1,
        7424,
    ),
    (
        "internlm-20b_a100_tp1_r4_roundrobin_sarathi512_conv_qps4.8",
        "internlm-20b",
        "scheduler: sarathi, chunked_prefill_size: 512,",
        4,
        1792,
    ),
    (
        "llama2-7b_a100_tp1_r1_vllm4096_conv_qps3.5",
        "Llama-2-7B",
        "scheduler: vllm_v0, max_prefill_tokens: 4096, chunked_prefill_size: -1,",
        1,
        7424,
    ),
];

/// Vidur has no LM head, no host and no CUDA graphs.
fn scenario(folder: &std::path::Path, run: usize) -> Scenario {
    let (_, model, scheduler, replicas, blocks) = RUNS[run];
    let text = format!(
        r#"(
            model: "",
            hardware: (gpu: "A100-80G-SXM"),
            deployment: Aggregated(
                workers: {replicas}, {scheduler}
                max_running_requests: 128, max_total_tokens: {}, page_size: 16,
                mem_fraction_static: 0.97, disable_radix_cache: true, disable_cuda_graph: true,
            ),
            router: (policy: RoundRobin),
            workload: Synthetic(
                arrivals: Burst, input_len: Fixed(1), output_len: Fixed(1), requests: 1,
            ),
            coefficients: {{
                "host_step_latency": 0, "host_sequence_latency": 0, "host_launch_latency": 0,
            }},
        )"#,
        u64::from(blocks) * 16
    );
    with_model(&text, folder, model, |shape| {
        shape.vocab_size = 1;
        // Its longest requests fill the context to the last token.
        shape.max_position_embeddings = 8192;
    })
}

fn read(run: usize) -> Option<Value> {
    let file = data("vidur/reference_runs")?.join(format!("{}.json.gz", RUNS[run].0));
    Some(serde_json::from_str(&unzipped(&file)).unwrap())
}

fn column(of: &Value, name: &str) -> Vec<f64> {
    let cells = of[name].as_array().unwrap_or_else(|| panic!("no column `{name}`"));
    let number = |cell: &Value| cell.as_f64().or_else(|| cell[0].as_f64()).unwrap();
    cells.iter().map(number).collect()
}

/// The batch of one of its iterations. Where several prompts extend, Vidur costs them as one whose
/// length is the root of their squares; so does this.
fn features([decode, context, prefix, length, prompts, tokens]: [f64; 6]) -> StepFeatures {
    let mut rank = RankFeatures { eager: true, ..RankFeatures::default() };
    if tokens > 0.0 {
        rank.extend_tokens = tokens as u64;
        rank.extend_pairs = length * (prefix + (length + 1.0) / 2.0);
        rank.extend_prefix = prefix as u64;
        rank.extend_seqs = prompts as u64;
    }
    rank.set_decode(decode as u64, decode as u64, (decode * context) as u64, 1);
    StepFeatures::of_ranks([&rank])
}

/// Median and 90th percentile.
fn errors(mut all: Vec<f64>) -> (f64, f64) {
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    (at(0.5), at(0.9))
}

#[test]
fn the_step_law_meets_step_times_of_vidur_from_its_operator_tables_alone() {
    for (run, (name_of_run, ..)) in RUNS.into_iter().enumerate() {
        let Some(reference) = read(run) else { return };
        let folder = tempfile::tempdir().unwrap();
        let plan = DeploymentPlan::of(&scenario(folder.path(), run), folder.path()).unwrap();
        let mut program = plan.pools[0].program();
        let names = [
            "decode_batch",
            "decode_avg_kv_rounded64",
            "prefill_kv_sum_rounded64",
            "prefill_chunk_rss",
            "num_prefill_requests",
            "num_prefill_tokens",
            "stage_ms",
        ];
        let columns = names.map(|name| column(&reference["iterations"], name));
        let mut by_kind = [Vec::new(), Vec::new(), Vec::new()];
        let (mut law, mut vidur) = (0.0, 0.0);
        for at in 0..columns[0].len() {
            let [decode, context, prefix, length, prompts, tokens, ms] =
                columns.each_ref().map(|column| column[at]);
            let step = features([decode, context, prefix, length, prompts, tokens]);
            let seconds = program.seconds(&step);
            (law, vidur) = (law + seconds, vidur + ms / 1e3);
            let kind = match (decode > 0.0, tokens > 0.0) {
                (true, false) => 0,
                (true, true) => 1,
                _ => 2,
            };
            by_kind[kind].push(error(seconds, ms / 1e3).abs());
        }
        let (median, p90) = errors(by_kind.concat());
        println!(
            "{name_of_run}: median {median:.1} %, p90 {p90:.1} %, sum {:+.1} %",
            error(law, vidur)
        );
        for (name, kind) in ["decode", "mixed", "prefill"].iter().zip(by_kind) {
            let steps = kind.len();
            if steps > 0 {
                let (median, p90) = errors(kind);
                println!("  {name}: {steps} steps, median {median:.1} %, p90 {p90:.1} %");
            }
        }
        assert!(median < 4.0 && p90 < 9.0, "{name_of_run}: {median:.1} %, {p90:.1} %");
        assert!(error(law, vidur).abs() < 4.0, "{name_of_run}");
    }
}

#[test]
fn latencies_of_vidur_are_met_with_its_schedulers() {
    for (run, (name_of_run, ..)) in RUNS.into_iter().enumerate() {
        let Some(reference) = read(run) else { return };
        let requests = &reference["requests"];
        let names = ["arrived_at", "prefill_tokens", "decode_tokens"];
        let [arrived, prompt, output] = names.map(|name| column(requests, name));
        let row = |at: usize| (arrived[at], fresh(at, prompt[at] as u64), output[at] as u32);
        let recorded = Recorded::new((0..arrived.len()).map(row).collect());
        let folder = tempfile::tempdir().unwrap();
        let simulation =
            Simulation::in_folder(scenario(folder.path(), run), folder.path()).unwrap();
        let report = simulation.workload(Box::new(recorded)).run().unwrap();
        assert_eq!((report.completed, report.refused), (arrived.len() as u64, 0));
        let aggregate = &reference["aggregate"];
        println!(
            "{}: {} steps, Vidur {}; {} pushed out, Vidur {}",
            name_of_run,
            report.pools[0].prefill_steps + report.pools[0].decode_steps,
            reference["iterations"]["stage_ms"].as_array().unwrap().len(),
            report.retractions,
            aggregate["restarts"]
        );
        for (name, ours) in
            [("ttft_s", report.ttft), ("tpot_s", report.tpot), ("e2e_s", report.e2e)]
        {
            let Summary { p50, p90, p99, .. } = ours;
            let found = [("p50", p50), ("p90", p90), ("p99", p99)].map(|(percentile, ours)| {
                let vidur = aggregate[name][percentile].as_f64().unwrap();
                println!(
                    "  {name} {percentile}: {ours:.4}, Vidur {vidur:.4}: {:+.1} %",
                    error(ours, vidur)
                );
                error(ours, vidur).abs()
            });
            // Where the pool is full, the tail of the waits hangs on every step.
            let allowed = if name == "ttft_s" { 16.0 } else { 9.0 };
            assert!(
                found.iter().all(|error| *error < allowed),
                "{} {name}: {found:?}",
                name_of_run
            );
        }
    }
}
