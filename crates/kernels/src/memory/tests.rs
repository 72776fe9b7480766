//! Tests of the division of memory.

use super::*;

fn gpu(name: &str) -> Gpu {
    Gpu::preset(name).unwrap()
}

fn law(model: &str, plan: ParallelPlan, options: &MemoryOptions) -> Result<MemoryLaw, KernelError> {
    let model = ModelShape::preset(model).unwrap();
    MemoryLaw::of(&Context::new(), "", &model, &gpu("H100"), &plan, options)
}

#[track_caller]
fn fraction(model: &str, plan: ParallelPlan, options: MemoryOptions) -> f64 {
    let law = law(model, plan, &options).unwrap();
    law.mem_fraction_static().evaluate(law.values()).unwrap()
}

#[test]
fn fraction_of_an_h100_alone() {
    // 512 + 1.5·8192 + 128 + 2·256 + 8·58 = 13904 MiB of 81559.
    assert_eq!(fraction("Llama-3.1-8B", ParallelPlan::tensor(1), MemoryOptions::default()), 0.83);
}

#[test]
fn what_is_not_captured_needs_no_memory() {
    let options = MemoryOptions { disable_cuda_graph: true, ..Default::default() };
    // 512 + 1.5·8192 + 128 = 12928 MiB of 81559.
    assert_eq!(fraction("Llama-3.1-8B", ParallelPlan::tensor(1), options), 0.841);
}

#[test]
fn fraction_follows_the_role() {
    let with = |disaggregation_mode| MemoryOptions { disaggregation_mode, ..Default::default() };
    let of = |mode| fraction("Llama-3.1-8B", ParallelPlan::tensor(1), with(mode));
    let share = |reserved: f64| ((81559.0 - reserved) / 81559.0 * 1000.0).round() / 1000.0;
    assert_eq!(of(DisaggregationMode::Prefill), share(512.0 + 12288.0 + 128.0 + 464.0));
    // 512 + 1.5·2048 + 128 + 2·256 is less than the 10 GiB that a large GPU keeps.
    assert_eq!(of(DisaggregationMode::Decode), share(10240.0));
}

#[test]
fn fraction_of_attention_replicas_and_mla() {
    let plan = ParallelPlan { dp_size: 8, ep_size: 8, ..ParallelPlan::tensor(8) };
    let reserved = 512.0 + 1.5 * 8192.0 + 1024.0 + 2.0 * 512.0 + 4.5 * 512.0 * 8.0 + 1536.0;
    let share = ((81559.0 - reserved) / 81559.0 * 1000.0_f64).round() / 1000.0;
    assert_eq!(fraction("DeepSeek-V3", plan, MemoryOptions::default()), share);
}

#[test]
fn llama_70b_on_four_h100() {
    let fit = law("Llama-3.1-70B", ParallelPlan::tensor(4), &MemoryOptions::default())
        .unwrap()
        .fit()
        .unwrap();
    // 70.55e9 parameters of 2 B on 4 GPUs; only the norms are on all of them.
    assert!((fit.weight_bytes.get() / (70.553_706e9 * 2.0 / 4.0) - 1.0).abs() < 1e-3);
    let free = 81559.0 * 1_048_576.0 - 1_073_741_824.0;
    let expected = (free * fit.mem_fraction_static - fit.weight_bytes.get()) / 81_920.0;
    assert_eq!(fit.max_total_num_tokens, expected.floor() as u64);
    assert_eq!(fit.settings.cuda_graph_max_bs, 512);
    // pool / context · 512 is below the 2048 that are always allowed.
    assert_eq!(fit.max_running_requests, 2048);
}

#[test]
fn pages_are_whole_and_user_limits_hold() {
    let options = MemoryOptions { page_size: 64, ..Default::default() };
    let plan = ParallelPlan::tensor(1);
    let paged = law("Llama-3.1-8B", plan, &options).unwrap().fit().unwrap();
    assert_eq!(paged.max_total_num_tokens % 64, 0);
    let options = MemoryOptions {
        max_total_tokens: Some(1000),
        max_running_requests: Some(300),
        mem_fraction_static: Some(0.5),
        ..Default::default()
    };
    let limited = law("Llama-3.1-8B", plan, &options).unwrap().fit().unwrap();
    assert_eq!((limited.max_total_num_tokens, limited.max_running_requests), (1000, 300));
    assert_eq!(limited.mem_fraction_static, 0.5);
}

#[test]
fn shares_of_replicas_and_experts() {
    let bytes = |plan| {
        let law = law("DeepSeek-V3", plan, &MemoryOptions::default()).unwrap();
        let value = |expr: &Expr| expr.evaluate(law.values()).unwrap();
        (value(law.weight_bytes()), value(law.cell_bytes()))
    };
    let ep = ParallelPlan { ep_size: 16, ..ParallelPlan::tensor(16) };
    let (plain, cell) = bytes(ParallelPlan::tensor(16));
    let (spread, _) = bytes(ep);
    let (replicated, replica_cell) = bytes(ParallelPlan { dp_size: 16, ..ep });
    assert_eq!(plain, spread);
    assert!(replicated > spread + 8e9, "attention weights are repeated: {replicated} {spread}");
    // The latent is on every rank either way: 61 layers · (512 + 64) · 2 B.
    assert_eq!((cell, replica_cell), (70_272.0, 70_272.0));
}

#[test]
fn what_does_not_fit_says_what_would() {
    let error = law("Llama-3.1-405B", ParallelPlan::tensor(8), &MemoryOptions::default())
        .unwrap()
        .fit()
        .unwrap_err();
    let KernelError::DoesNotFit { needed, available, tp_size, smallest_tp_size } = error else {
        panic!("{error}");
    };
    assert!(needed.get() > available.get());
    assert_eq!((tp_size, smallest_tp_size), (8, Some(16)));
    let law = law("Llama-3.1-405B", ParallelPlan::tensor(8), &MemoryOptions::default()).unwrap();
    assert_eq!(law.constraints()[0].holds.evaluate(law.values()).unwrap(), 0.0);
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |options: MemoryOptions| {
        law("Llama-3.1-8B", ParallelPlan::tensor(1), &options).unwrap_err().to_string()
    };
    assert_eq!(
        refused(MemoryOptions { mem_fraction_static: Some(1.5), ..Default::default() }),
        "`mem_fraction_static` is 1.5, allowed is > 0 and < 1"
    );
    assert_eq!(
        refused(MemoryOptions { page_size: 0, ..Default::default() }),
        "`page_size` is 0, allowed is >= 1"
    );
    assert_eq!(
        refused(MemoryOptions {
            chunked_prefill_size: Some(1000),
            page_size: 64,
            ..Default::default()
        }),
        "`chunked_prefill_size` is 1000, allowed is a multiple of page_size"
    );
}

#[test]
fn every_replica_runs_at_least_one_request() {
    let plan = ParallelPlan { dp_size: 8, ep_size: 8, ..ParallelPlan::tensor(8) };
    let options = MemoryOptions { max_running_requests: Some(7), ..Default::default() };
    assert_eq!(
        law("DeepSeek-V3", plan, &options).unwrap_err().to_string(),
        "`max_running_requests` is 7, allowed is >= dp_size"
    );
}
