//! Collectives, the expert exchange and KV transfers against measurements, with the default
//! coefficients.
//!
//! Data: as in `measured.rs`; KV transfers from Mooncake's documentation of SGLang.

use sglsim_kernels::LawSet;
use sglsim_kernels::operator::collective::{
    AllGather, AllReduce, AllToAll, DeepEp, Eager, NcclPairs, NcclRing, NcclSwitch, PairExchange,
    ReduceScatter,
};
use sglsim_kernels::operator::{Fastest, OperatorLaw};

use crate::measured::{Bench, table};

const SIZES: [&str; 2] = ["message_size", "num_gpus"];

macro_rules! call {
    ($kind:ident, $bench:expr) => {
        $kind {
            bytes_per_row: $bench.constant(2),
            rows: $bench.symbols[0].clone(),
            group: $bench.symbols[1].clone(),
        }
    };
}

#[test]
fn custom_all_reduce() {
    for (backend, allowed) in [("sglang_graph", 0.06), ("sglang_eager", 0.12)] {
        let Some(table) = table("comm/custom_allreduce_perf__sglang-0.5.14.csv.gz") else { return };
        let bench = Bench::new(&SIZES);
        let chosen = LawSet::default().all_reduce;
        let call = call!(AllReduce, bench);
        let law = match backend {
            "sglang_eager" => Eager(&*chosen).time(&call, &bench.on),
            _ => chosen.time(&call, &bench.on),
        };
        bench.check(backend, &SIZES, &law, &table.only(&[("backend", backend)]), allowed);
    }
}

#[test]
fn nccl() {
    for name in ["all_reduce", "all_gather", "reduce_scatter", "alltoall"] {
        let Some(table) = table("comm/nccl_perf__nccl-2.27.3.csv.gz") else { return };
        let bench = Bench::new(&SIZES);
        let table = table.only(&[("op_name", name), ("nccl_dtype", "half")]);
        let law = match name {
            "all_reduce" => Fastest::or_else(NcclRing)
                .with(NcclSwitch)
                .time(&call!(AllReduce, bench), &bench.on),
            "all_gather" => NcclRing.time(&call!(AllGather, bench), &bench.on),
            "reduce_scatter" => NcclRing.time(&call!(ReduceScatter, bench), &bench.on),
            _ => NcclPairs.time(&call!(PairExchange, bench), &bench.on),
        };
        bench.check(&format!("NCCL {name}"), &SIZES, &law, &table, 0.08);
    }
}

#[test]
fn expert_exchange() {
    let names = ["num_token", "node_num"];
    for (file, direction, time, low_latency, allowed) in [
        ("ll", "dispatch", "dispatch_avg_t_us", true, 0.06),
        ("ll", "combine", "combine_avg_t_us", true, 0.06),
        ("normal", "dispatch", "dispatch_transmit_us", false, 0.1),
        ("normal", "combine", "combine_transmit_us", false, 0.15),
    ] {
        let mut errors = Vec::new();
        for version in ["0.5.12", "0.5.6.post2"] {
            let path = format!("comm/wideep_deepep_{file}_perf__sglang-{version}.csv.gz");
            let Some(table) = table(&path) else { return };
            let at = ["hidden_size", "num_topk", "num_experts"].map(|name| table.column(name));
            let mut shapes: Vec<[u32; 3]> =
                table.rows.iter().map(|row| at.map(|at| row[at].parse().unwrap())).collect();
            shapes.sort_unstable();
            shapes.dedup();
            for [hidden, top_k, num_experts] in shapes {
                let kept = table.rows.iter().filter(|row| {
                    let same = at.map(|at| row[at].parse::<u32>().unwrap())
                        == [hidden, top_k, num_experts];
                    // DeepEP's default of 20 SMs.
                    let sms = |name: &str| &row[table.column(name)] == "20";
                    same && (low_latency || sms("dispatch_sms"))
                });
                let part = table.with(kept.cloned().collect());
                let bench = Bench::new(&names);
                let call = AllToAll {
                    rows: bench.symbols[0].clone(),
                    bytes_per_row: bench.constant(match direction {
                        "combine" => 2 * hidden,
                        _ => hidden + hidden.div_ceil(128) * 4,
                    }),
                    num_experts,
                    top_k,
                    group: 8 * &bench.symbols[1],
                    combine: direction == "combine",
                    low_latency: bench.on.sm_count.context().truth(low_latency),
                };
                let law = DeepEp.time(&call, &bench.on);
                // Finding out who sends what belongs to the dispatch.
                let mut times = vec![time];
                times.extend((!low_latency).then_some(match direction {
                    "combine" => "combine_notify_us",
                    _ => "dispatch_notify_us",
                }));
                errors.extend(bench.all_errors(&names, &law, &part.timed(&names, &times, 1e-6)));
            }
        }
        errors.sort_by(f64::total_cmp);
        let (median, p90) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
        let what = format!("DeepEP {file} {direction}");
        println!(
            "{what}: median error {:.1} %, 90th percentile {:.1} %, {} rows",
            median * 100.0,
            p90 * 100.0,
            errors.len()
        );
        assert!(median < allowed, "{what}: {median:.3}");
    }
}
