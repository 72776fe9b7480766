//! Parameter and cache counts against the published ones.

use proptest::prelude::*;
use sglsim_model::{Attention, Dtype, ModelShape, Part};

fn preset(name: &str) -> ModelShape {
    ModelShape::preset(name).unwrap()
}

/// Elements of the published checkpoints, as the model pages and safetensors indices give them.
#[test]
fn totals_are_the_published_ones() {
    for (name, total) in [
        ("Llama-2-7B", 6_738_415_616_u64),
        ("internlm-20b", 20_088_714_240),
        ("Llama-3.1-8B", 8_030_261_248),
        ("Llama-3.1-70B", 70_553_706_496),
        ("Llama-3.1-405B", 405_853_388_800),
        ("Qwen2.5-72B", 72_706_203_648),
        ("Qwen3-8B", 8_190_735_360),
        ("Qwen3-32B", 32_762_123_264),
        ("Qwen3-30B-A3B", 30_532_122_624),
        ("Qwen3-235B-A22B", 235_093_634_560),
        ("Mixtral-8x7B", 46_702_792_704),
        ("Mixtral-8x22B", 140_620_634_112),
        ("DeepSeek-V3", 671_026_419_200),
        ("DeepSeek-R1", 671_026_419_200),
        ("gpt-oss-20b", 20_914_757_184),
        ("gpt-oss-120b", 116_829_156_672),
    ] {
        assert_eq!(preset(name).parameters().total(), total, "{name}");
    }
    assert_eq!(ModelShape::names().count(), 16);
}

#[test]
fn active_parameters_are_the_published_ones() {
    let active = |name| {
        let active = preset(name).active_parameters();
        let billions = |count: u64| count as f64 / 1e9;
        (billions(active.total()), billions(active.total() - active.get(Part::Embedding)))
    };
    let close = |is: f64, published: f64, digit: f64| {
        assert!((is - published).abs() <= digit / 2.0, "{is} is not {published}");
    };
    close(active("Qwen3-235B-A22B").0, 22.19, 0.01);
    close(active("Mixtral-8x7B").0, 12.9, 0.1); // arXiv:2401.04088
    close(active("DeepSeek-V3").1, 36.6, 0.1); // README_WEIGHTS.md
    close(active("gpt-oss-120b").1, 5.13, 0.01); // model card, arXiv:2508.10925
    close(active("gpt-oss-20b").1, 3.61, 0.01);
}

/// "11.5B unique parameters" (DeepSeek-V3, README_WEIGHTS.md), which leaves out `eh_proj`.
#[test]
fn mtp_module_of_deepseek() {
    let shape = preset("DeepSeek-V3");
    let projection = 2 * u64::from(shape.hidden_size).pow(2);
    let billions = (shape.mtp_parameters() - projection) as f64 / 1e9;
    assert!((billions - 11.5).abs() < 0.05, "{billions}");
}

#[test]
fn cache_of_one_token() {
    for (name, bytes) in [
        ("Llama-3.1-8B", 131_072.0),
        ("Llama-3.1-70B", 327_680.0),
        ("Llama-3.1-405B", 516_096.0),
        ("Qwen3-235B-A22B", 192_512.0),
        ("DeepSeek-V3", 70_272.0), // 70.272 KB, DeepSeek-V3 (arXiv:2505.09343), table 1
        ("gpt-oss-120b", 73_728.0),
    ] {
        assert_eq!(preset(name).kv_bytes_per_token().get(), bytes, "{name}");
    }
}

#[test]
fn layers_by_kind() {
    let kinds = |name| (preset(name).dense_layers(), preset(name).moe_layers());
    assert_eq!(kinds("Llama-3.1-8B"), (32, 0));
    assert_eq!(kinds("Mixtral-8x7B"), (0, 32));
    assert_eq!(kinds("DeepSeek-V3"), (3, 58));
}

/// The published sizes: 60.8 GiB and 12.8 GiB (gpt-oss model card), with embedding and head in bf16.
#[test]
fn weights_in_memory() {
    let gib = |name| {
        let shape = preset(name);
        Part::ALL.into_iter().map(|part| shape.weight_bytes(part).get()).sum::<f64>()
            / 1024_f64.powi(3)
    };
    assert!((gib("gpt-oss-120b") - 60.8).abs() < 0.1, "{}", gib("gpt-oss-120b"));
    assert!((gib("gpt-oss-20b") - 12.8).abs() < 0.1, "{}", gib("gpt-oss-20b"));
    assert!((gib("Llama-3.1-70B") - 70_553_706_496.0 * 2.0 / 1024_f64.powi(3)).abs() < 1e-9);
}

#[test]
fn formats_by_part() {
    let shape = preset("gpt-oss-120b");
    assert_eq!(shape.dtype(Part::Experts), Dtype::Mxfp4);
    assert_eq!(shape.dtype(Part::Attention), Dtype::Bf16);
    let shape = preset("DeepSeek-V3");
    assert_eq!(shape.dtype(Part::Attention), Dtype::Fp8);
    assert_eq!(shape.dtype(Part::LmHead), Dtype::Bf16);
}

#[test]
fn bits_by_format() {
    let bits = Dtype::ALL.map(|dtype| 8.0 * dtype.bytes());
    assert_eq!(bits, [16.0, 16.0, 8.0, 8.0, 4.15625, 4.5, 4.25]);
}

proptest! {
    /// What a mixture layer is, counted one by one.
    #[test]
    fn mixture_layers(layers in 1_u32..200, dense in 0_u32..200, step in 1_u32..200) {
        let mut shape = preset("DeepSeek-V3");
        shape.layers = layers;
        let moe = shape.moe.as_mut().unwrap();
        (moe.first_k_dense, moe.layer_step) = (dense.min(layers), 1 + step % layers);
        let (dense, step) = (moe.first_k_dense, moe.layer_step);
        let counted = (0..layers).filter(|i| *i >= dense && (i + 1) % step == 0).count();
        prop_assert_eq!(shape.moe_layers() as usize, counted);
        prop_assert_eq!(shape.moe_layers() + shape.dense_layers(), layers);
        shape.check().unwrap();
    }

    /// No shape that passes the check overflows a count, and more of anything is never less.
    #[test]
    fn counts_grow_with_every_dimension(
        name in prop::sample::select(ModelShape::names().collect::<Vec<_>>()),
        field in 0_usize..6,
        factor in prop::sample::select(vec![1_u32, 2, 3, 1 << 6, 1 << 12, 1 << 20]),
    ) {
        let small = preset(name);
        let mut large = small.clone();
        let grow = |value: &mut u32| *value = value.saturating_mul(factor);
        match field {
            0 => grow(&mut large.layers),
            1 => grow(&mut large.hidden_size),
            2 => grow(&mut large.num_attention_heads),
            3 => grow(&mut large.vocab_size),
            4 => grow(&mut large.intermediate_size),
            _ => match (&mut large.moe, &mut large.attention) {
                (Some(moe), _) => grow(&mut moe.num_experts),
                (None, Attention::Gqa(gqa)) => grow(&mut gqa.head_dim),
                (None, Attention::Mla(mla)) => grow(&mut mla.kv_lora_rank),
            },
        }
        if large.check().is_ok() {
            for part in Part::ALL {
                prop_assert!(large.parameters().get(part) >= small.parameters().get(part));
                prop_assert!(large.active_parameters().get(part) <= large.parameters().get(part));
            }
            prop_assert!(large.kv_bytes_per_token() >= small.kv_bytes_per_token());
            prop_assert!(large.mtp_parameters() >= small.mtp_parameters());
        }
    }
}

/// The largest shape that passes the check still fits 64 bits.
#[test]
fn the_largest_counts_fit() {
    let mut shape = preset("DeepSeek-V3");
    (shape.layers, shape.hidden_size, shape.num_attention_heads) = (1024, 262_144, 4096);
    (shape.vocab_size, shape.intermediate_size) = (16_777_216, 262_144);
    let moe = shape.moe.as_mut().unwrap();
    (moe.num_experts, moe.top_k, moe.moe_intermediate_size) = (8192, 8192, 262_144);
    moe.shared_intermediate_size = 262_144;
    shape.check().unwrap();
    assert!(shape.parameters().total() > 1 << 60);
    shape.vocab_size += 1;
    shape.check().unwrap_err();
}
