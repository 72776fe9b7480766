//! Vidur's runs with Vidur's own step costs: what is left is the schedule. Its batches, one by one, and
//! the latencies that its users see.

use std::sync::{Arc, Mutex};

use sglsim_engine::{
    BatchState, CostModel, Fcfs, ForwardMode, SchedError, Scheduler, SchedulerName, SimTime,
    Simulation, StepFeatures, Summary, WorkerId,
};

use super::{RUNS, column, read, scenario};
use crate::recorded::{Recorded, data, error, fresh, unzipped};

/// Its predictor tables of a model: time of a layer's parts \[ms\].
#[derive(Debug)]
struct Tables {
    layers: f64,
    /// Token-wise operators together, by tokens / 8.
    tokens: Vec<f64>,
    /// By batch and context / 64.
    decode: Vec<Vec<f64>>,
    /// By context / 64 and tokens of the chunk.
    prefill: Vec<Vec<f64>>,
}

fn rows(table: &str, name: &str) -> Vec<Vec<f64>> {
    let file = format!("vidur/predictor_tables/{table}/{name}.csv.gz");
    let text = unzipped(&data(&file).unwrap());
    let cells = |line: &str| line.split(',').map(|cell| cell.parse().unwrap()).collect();
    text.lines().skip(1).map(cells).collect()
}

fn put(grid: &mut Vec<Vec<f64>>, (row, column): (usize, usize), value: f64) {
    grid.resize_with(grid.len().max(row + 1), Vec::new);
    let cells = &mut grid[row];
    cells.resize(cells.len().max(column + 1), f64::NAN);
    cells[column] = value;
}

impl Tables {
    fn read(table: &str, layers: f64) -> Self {
        let (mut tokens, mut decode, mut prefill) = (vec![0.0], Vec::new(), Vec::new());
        tokens.extend(rows(table, "token_ops").iter().map(|row| row[1..].iter().sum::<f64>()));
        for row in rows(table, "attn_decode") {
            put(&mut decode, (row[0] as usize, row[1] as usize / 64), row[2]);
        }
        for row in rows(table, "attn_prefill") {
            put(&mut prefill, (row[0] as usize / 64, row[1] as usize), row[2]);
        }
        Self { layers, tokens, decode, prefill }
    }

    /// Its time of a step \[s\]; the README of the data says how it is made of the tables.
    fn seconds(&self, step: &StepFeatures, slices: &[(u64, u64)]) -> f64 {
        let new: u64 = slices.iter().map(|(_, extend)| extend).sum();
        let mut layer = self.tokens[(new + step.decode_seqs as u64).div_ceil(8) as usize];
        if step.decode_seqs > 0.0 {
            let mean = (step.decode_context / step.decode_seqs).floor() as usize;
            layer += self.decode[step.decode_seqs as usize][mean.div_ceil(64)];
        }
        if new > 0 {
            let context: u64 = slices.iter().map(|(prefix, _)| prefix.div_ceil(64)).sum();
            let squares: u64 = slices.iter().map(|(_, extend)| extend * extend).sum();
            layer += self.prefill[context as usize][(squares as f64).sqrt().round() as usize];
        }
        self.layers * layer / 1e3
    }
}

/// What a step did: its decoding sequences, prompt tokens and prompts.
type Batch = (u64, u64, u64);

/// What the schedulers chose, by worker.
#[derive(Debug, Default)]
struct Chosen {
    slices: Vec<(u64, u64)>,
    batches: Vec<Batch>,
}

type Shared = Arc<Mutex<Vec<Chosen>>>;

/// A scheduler that also writes down what it chose.
#[derive(Debug)]
struct Noted(Box<dyn Scheduler>, WorkerId, Shared);

impl Scheduler for Noted {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        let mode = self.0.next_step(batch, now)?;
        let chosen = &mut self.2.lock().unwrap()[self.1.index()];
        let slices = batch.extend_batch().iter().map(|slice| (slice.prefix, slice.extend));
        chosen.slices = slices.collect();
        if mode != ForwardMode::Idle {
            let decodes = if mode.decodes() { batch.running().len() as u64 } else { 0 };
            let tokens = chosen.slices.iter().map(|(_, extend)| extend).sum();
            chosen.batches.push((decodes, tokens, chosen.slices.len() as u64));
        }
        Ok(mode)
    }
}

#[derive(Debug)]
struct VidurCost(Arc<Tables>, WorkerId, Shared);

impl CostModel for VidurCost {
    fn name(&self) -> &str {
        "Vidur's tables"
    }

    fn step_seconds(&mut self, step: &StepFeatures) -> f64 {
        self.0.seconds(step, &self.2.lock().unwrap()[self.1.index()].slices)
    }
}

#[test]
fn batches_and_latencies_are_vidurs_with_vidurs_costs() {
    let tables = [
        ("llama-2-7b_a100_tp1", 32.0, SchedulerName::Sarathi),
        ("internlm-20b_a100_tp1", 60.0, SchedulerName::Sarathi),
        ("llama-2-7b_a100_tp1", 32.0, SchedulerName::VllmV0),
    ];
    for (run, (table, layers, kind)) in tables.into_iter().enumerate() {
        let Some(reference) = read(run) else { return };
        let requests = &reference["requests"];
        let names = ["arrived_at", "prefill_tokens", "decode_tokens"];
        let [arrived, prompt, output] = names.map(|name| column(requests, name));
        let row = |at: usize| (arrived[at], fresh(at, prompt[at] as u64), output[at] as u32);
        let recorded = Recorded::new((0..arrived.len()).map(row).collect());
        let (.., replicas, _) = RUNS[run];
        let chosen: Shared = Arc::default();
        chosen.lock().unwrap().resize_with(replicas as usize, Chosen::default);
        let tables = Arc::new(Tables::read(table, layers));
        let folder = tempfile::tempdir().unwrap();
        let simulation =
            Simulation::in_folder(scenario(folder.path(), run), folder.path()).unwrap();
        let (noted, costed) = (Arc::clone(&chosen), Arc::clone(&chosen));
        let report = simulation
            .workload(Box::new(recorded))
            .scheduler(move |worker, config| {
                let scheduler = kind.build(config, Box::new(Fcfs));
                Box::new(Noted(scheduler, worker, Arc::clone(&noted)))
            })
            .cost_model(move |worker, _| {
                Box::new(VidurCost(Arc::clone(&tables), worker, Arc::clone(&costed)))
            })
            .run()
            .unwrap();

        let names = ["replica", "decode_batch", "num_prefill_tokens", "num_prefill_requests"];
        let [replica, decode, tokens, prompts] =
            names.map(|name| column(&reference["iterations"], name));
        println!(
            "{}: {} pushed out, Vidur {}",
            RUNS[run].0, report.retractions, reference["aggregate"]["restarts"]
        );
        for worker in 0..replicas as usize {
            let theirs: Vec<Batch> = (0..replica.len())
                .filter(|at| replica[*at] as usize == worker)
                .map(|at| (decode[at] as u64, tokens[at] as u64, prompts[at] as u64))
                .collect();
            let ours = &chosen.lock().unwrap()[worker].batches;
            println!("  worker {worker}: {} steps, Vidur {}", ours.len(), theirs.len());
            let other = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
            assert_eq!((other, ours.len()), (None, theirs.len()), "the first batch that differs");
        }
        let aggregate = &reference["aggregate"];
        for (name, ours) in
            [("ttft_s", report.ttft), ("tpot_s", report.tpot), ("e2e_s", report.e2e)]
        {
            let Summary { p50, p90, p99, .. } = ours;
            for (percentile, ours) in [("p50", p50), ("p90", p90), ("p99", p99)] {
                let vidur = aggregate[name][percentile].as_f64().unwrap();
                let off = error(ours, vidur);
                println!("  {name} {percentile}: {ours:.4}, Vidur {vidur:.4}: {off:+.3} %");
                // Its tables have six digits of a millisecond, its percentiles five of a second.
                assert!(off.abs() < 0.05, "{name} {percentile}");
            }
        }
    }
}
