//! What a scenario comes to before it runs.

use sglsim_engine::{DeploymentPlan, PoolPlan};

use crate::scenarios::{base_with, run};

fn pool(fields: &[(&str, &str)]) -> PoolPlan {
    DeploymentPlan::of(&base_with(fields), ".".as_ref()).unwrap().pools.remove(0)
}

#[test]
fn without_chunks_memory_is_kept_for_the_largest_pass() {
    let off = ("deployment.chunked_prefill_size", "-1");
    let plan = pool(&[off]);
    let as_large = pool(&[("deployment.chunked_prefill_size", "16384")]);
    assert_eq!(plan.scheduler.chunked_prefill_size, None);
    assert_eq!(plan.scheduler.max_total_num_tokens, as_large.scheduler.max_total_num_tokens);
    assert!(plan.scheduler.max_total_num_tokens < pool(&[]).scheduler.max_total_num_tokens);
    // No chunk, so none that would have to be made of pages.
    let pages = base_with(&[off, ("deployment.page_size", "48")]);
    assert_eq!(run(&pages).completed, 1);
}

#[test]
fn attention_ranks_share_the_chunk_and_the_rows() {
    let plan = pool(&[
        ("deployment.tp_size", "4"),
        ("deployment.dp_size", "4"),
        ("deployment.chunked_prefill_size", "8192"),
        ("deployment.max_running_requests", "64"),
    ]);
    assert_eq!(plan.scheduler.chunked_prefill_size, Some(2048));
    assert_eq!(plan.scheduler.max_running_requests, 16);
    assert!((plan.scheduler.schedule_conservativeness - 0.3).abs() < 1e-12);
    assert_eq!(plan.gpus(), 4);
}

#[test]
fn a_prefill_worker_captures_no_decode_graph() {
    let pair = base_with(&[("deployment", "Disaggregated(prefill: (), decode: ())")]);
    let plan = DeploymentPlan::of(&pair, ".".as_ref()).unwrap();
    let graphs = |at: usize| plan.pools[at].cuda_graphs.len();
    assert_eq!(graphs(0), 0);
    assert!(graphs(1) > 10);
    assert_eq!((plan.gpus(), plan.pools[0].name, plan.pools[1].name), (2, "prefill", "decode"));
}
