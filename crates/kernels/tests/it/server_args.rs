//! What SGLang makes of server arguments by GPU memory, recorded from the package itself.

use serde_json::Value;
use sglsim_expr::Context;
use sglsim_hw::Gpu;
use sglsim_kernels::{
    MemoryLaw, MemoryOptions, MoeA2aBackend, ParallelPlan, SpeculativeAlgorithm, SpeculativeConfig,
    cuda_graph_sizes, speculative_cuda_graph_sizes,
};
use sglsim_model::ModelShape;
use sglsim_units::{Bytes, DisaggregationMode};

/// `fixtures/sglang/record_server_args.py` made it.
const RECORDED: &str = include_str!("../../../../fixtures/sglang/server_args.jsonl");

#[test]
fn defaults_are_those_of_sglang() {
    let models = ["Llama-3.1-8B", "DeepSeek-V3"].map(|name| ModelShape::preset(name).unwrap());
    let (mut rows, mut ties) = (0, 0);
    for line in RECORDED.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| row[name].as_u64().map(|n| n as u32);
        let size = |name: &str| number(name).unwrap();
        let flag = |name: &str| row[name].as_bool().unwrap();
        let mut gpu = Gpu::preset("H100").unwrap();
        gpu.hbm_capacity = Bytes::new(f64::from(size("gpu_mib")) * 1_048_576.0).unwrap();
        let model = &models[usize::from(flag("mla"))];
        let (tp_size, dp_size) = (size("tp_size"), size("dp_size"));
        let plan = ParallelPlan {
            dp_size,
            pp_size: size("pp_size"),
            ep_size: if flag("deepep") { tp_size } else { 1 },
            moe_a2a_backend: match flag("deepep") {
                true => MoeA2aBackend::DeepEp,
                false => MoeA2aBackend::None,
            },
            ..ParallelPlan::tensor(tp_size)
        };
        let drafts = size("draft_tokens");
        let mut speculation = SpeculativeConfig::new(SpeculativeAlgorithm::Eagle);
        speculation.speculative_num_draft_tokens = Some(drafts);
        speculation.speculative_num_steps = Some(drafts.max(2) - 1);
        speculation.speculative_eagle_topk = Some(1);
        let options = MemoryOptions {
            disaggregation_mode: match row["mode"].as_str().unwrap() {
                "prefill" => DisaggregationMode::Prefill,
                "decode" => DisaggregationMode::Decode,
                _ => DisaggregationMode::Null,
            },
            chunked_prefill_size: number("chunk"),
            max_running_requests: number("max_running_requests"),
            disable_cuda_graph: flag("disable_cuda_graph"),
            speculation: (drafts > 1).then(|| speculation.resolve(model, None, &plan).unwrap()),
            ..MemoryOptions::default()
        };
        let law = match MemoryLaw::of(&Context::new(), "", model, &gpu, &plan, &options) {
            Ok(law) => law,
            Err(error) => panic!("{error}: {line}"),
        };
        let values = law.values().clone();
        let found = law.mem_fraction_static().evaluate(&values).unwrap();
        let expected = row["mem_fraction_static"].as_f64().unwrap().max(0.0);
        let off = (found - expected).abs();
        // Half a thousandth exactly: Python looks at the binary number, which may be just below it.
        ties += u32::from(off > 1e-9 && (off - 1e-3).abs() < 1e-9);
        assert!(off < 1e-3 + 1e-9, "mem_fraction_static {found}: {line}");
        let settings = law.settings();
        assert_eq!(settings.chunked_prefill_size, size("chunked_prefill_size"), "{line}");
        assert_eq!(settings.cuda_graph_max_bs, size("cuda_graph_max_bs"), "{line}");
        let graphs = if drafts > 1 { speculative_cuda_graph_sizes } else { cuda_graph_sizes };
        let recorded: Vec<u32> = serde_json::from_value(row["cuda_graph_bs"].clone()).unwrap();
        assert_eq!(graphs(settings.cuda_graph_max_bs), recorded, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 160);
    assert!(ties <= 3, "{ties} fractions are a thousandth off");
}
