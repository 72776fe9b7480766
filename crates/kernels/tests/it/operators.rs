//! Laws of single operators, and replacing them.

use sglsim_expr::{Context, Expr, Values, max};
use sglsim_hw::Precision;
use sglsim_kernels::operator::MatrixFormat;
use sglsim_kernels::operator::attention::{
    DecodeAttention, FlashDecode, FlashPrefill, PrefillAttention,
};
use sglsim_kernels::operator::collective::{
    AllGather, AllReduce, AllToAll, DeepEp, Eager, NcclPairs, NcclRing, NcclSwitch, OneShot,
    PairExchange, ReduceScatter, SendReceive, TwoShot,
};
use sglsim_kernels::operator::elementwise::{Elementwise, MemoryBound};
use sglsim_kernels::operator::gemm::{Gemm, TiledRoofline};
use sglsim_kernels::operator::moe::{AutoRunner, DeepGemm, Experts, FusedMoe, Marlin, Routing};
use sglsim_kernels::testing::conformance;
use sglsim_kernels::{Coefficients, Hardware, LawSet, OperatorLaw, ParallelPlan, StepLaw};
use sglsim_model::ModelShape;

use crate::scenario::{at, decode, topology};

fn of(size: &Expr, value: u32) -> Expr {
    size.context().constant(value)
}

fn gemm(m: &Expr) -> Gemm {
    Gemm {
        m: m.clone(),
        n: of(m, 1000),
        k: of(m, 4096),
        format: MatrixFormat::Fp8,
        bytes_per_weight: 1.0,
        bytes_per_input: 1.0,
    }
}

fn all_reduce(rows: &Expr, group: u32) -> AllReduce {
    AllReduce { rows: rows.clone(), bytes_per_row: of(rows, 16_384), group: of(rows, group) }
}

#[test]
fn dense_operators_conform() {
    use MatrixFormat::{Bf16, Fp4, Fp8, Fp8Block, Int4, Int8};
    for format in [Bf16, Fp8, Fp8Block, Int8, Int4, Fp4] {
        for (n, k) in [(1000, 4096), (64, 16_384), (7168, 128)] {
            conformance(&TiledRoofline, &["m"], |s| Gemm {
                n: of(&s[0], n),
                k: of(&s[0], k),
                format,
                ..gemm(&s[0])
            });
        }
    }
    conformance(&MemoryBound, &["rows"], |s| Elementwise {
        rows: s[0].clone(),
        bytes_per_row: of(&s[0], 32_768),
    });
    for (kv_precision, latent, window) in [
        (Precision::Bf16, false, None),
        (Precision::Fp8, false, Some(128)),
        (Precision::Bf16, true, None),
        (Precision::Fp8, true, None),
    ] {
        // Of equal sequences: the laws know nothing but the mean.
        conformance(&FlashPrefill, &["seqs", "new", "prefix"], |s| {
            let (seqs, new, prefix) = (&s[0], &s[1], &s[2]);
            PrefillAttention {
                seqs: seqs.clone(),
                pairs: seqs * new * (prefix + (new + 1) / 2),
                tokens: seqs * new,
                prefix: seqs * prefix,
                heads: of(seqs, 8),
                kv_heads: of(seqs, 2),
                head_dims: (192, 128),
                kv_bytes_per_token: of(seqs, 4096),
                kv_precision,
                latent,
                window,
                hybrid: window.is_some(),
            }
        });
        conformance(&FlashDecode, &["seqs", "length", "query_tokens"], |s| DecodeAttention {
            seqs: s[0].clone(),
            context: &s[0] * &s[1],
            query_tokens: s[2].clone(),
            heads: of(&s[0], 128),
            kv_heads: of(&s[0], 1),
            head_dims: (576, 512),
            kv_bytes_per_token: of(&s[0], 1152),
            kv_precision,
            latent,
            repeated: window.is_some(),
        });
    }
}

fn experts(tokens: &Expr, num_experts: u32, top_k: u32, ranks: [u32; 2]) -> Experts {
    Experts {
        tokens: tokens.clone(),
        tokens_here: tokens.clone(),
        num_experts,
        top_k,
        hidden_size: 4096,
        intermediate_size: 2048,
        tp_size: of(tokens, ranks[0]),
        ep_size: of(tokens, ranks[1]),
        routing: Routing::Uniform,
        low_latency: None,
        format: MatrixFormat::Bf16,
        bytes_per_weight: 2.0,
        bytes_per_input: 2.0,
    }
}

#[test]
fn experts_conform() {
    let cases = [
        (8, 2, [1, 1], Routing::Uniform),
        (256, 8, [1, 4], Routing::Uniform),
        (256, 8, [2, 2], Routing::Balanced),
        (4, 4, [2, 1], Routing::Uniform),
    ];
    for (num_experts, top_k, ranks, routing) in cases {
        let call = |s: &[Expr], format, bytes| Experts {
            routing,
            format,
            bytes_per_weight: bytes,
            bytes_per_input: if bytes == 1.0 { 1.0 } else { 2.0 },
            ..experts(&s[0], num_experts, top_k, ranks)
        };
        conformance(&FusedMoe, &["tokens"], |s| call(s, MatrixFormat::Bf16, 2.0));
        conformance(&FusedMoe, &["tokens"], |s| call(s, MatrixFormat::Fp8Block, 1.0));
        conformance(&Marlin, &["tokens"], |s| call(s, MatrixFormat::Int4, 0.52));
        for low_latency in [false, true] {
            conformance(&DeepGemm, &["tokens"], |s| Experts {
                low_latency: Some(s[0].context().truth(low_latency)),
                ..call(s, MatrixFormat::Fp8Block, 1.0)
            });
        }
    }
}

#[test]
fn collectives_conform() {
    for group in [1, 2, 4, 8, 16, 64] {
        conformance(&*LawSet::default().all_reduce, &["rows"], |s| all_reduce(&s[0], group));
        conformance(&OneShot, &["rows"], |s| all_reduce(&s[0], group));
        conformance(&TwoShot, &["rows"], |s| all_reduce(&s[0], group));
        conformance(&NcclSwitch, &["rows"], |s| all_reduce(&s[0], group));
        conformance(&Eager(&NcclRing), &["rows"], |s| all_reduce(&s[0], group));
        conformance::<PairExchange>(&NcclPairs, &["rows"], |s| PairExchange {
            rows: s[0].clone(),
            bytes_per_row: of(&s[0], 16_384),
            group: of(&s[0], group),
        });
        conformance::<AllGather>(&NcclRing, &["rows"], |s| AllGather {
            rows: s[0].clone(),
            bytes_per_row: of(&s[0], 16_384),
            group: of(&s[0], group),
        });
        conformance::<ReduceScatter>(&NcclRing, &["rows"], |s| ReduceScatter {
            rows: s[0].clone(),
            bytes_per_row: of(&s[0], 16_384),
            group: of(&s[0], group),
        });
        for low_latency in [false, true] {
            conformance(&DeepEp, &["rows"], |s| AllToAll {
                rows: s[0].clone(),
                bytes_per_row: of(&s[0], 7392),
                num_experts: 256,
                top_k: 8,
                group: of(&s[0], group),
                combine: group == 4,
                low_latency: s[0].context().truth(low_latency),
            });
            conformance(&NcclPairs, &["rows"], |s| SendReceive {
                rows: s[0].clone(),
                bytes_per_row: of(&s[0], 16_384),
                across_nodes: s[0].context().truth(low_latency),
            });
        }
    }
}

#[test]
fn conformance_finds_a_law_that_is_none() {
    #[derive(Debug)]
    struct AlwaysOn;
    impl OperatorLaw<Gemm> for AlwaysOn {
        fn name(&self) -> &str {
            "always on"
        }
        fn time(&self, _: &Gemm, on: &Hardware) -> Expr {
            on.theta.gemm_bf16.latency.clone()
        }
    }
    let caught = std::panic::catch_unwind(|| conformance(&AlwaysOn, &["m"], |s| gemm(&s[0])));
    let message = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("`always on` takes 0.0000025 s for no work"), "{message}");
}

#[test]
fn the_fastest_usable_all_reduce_is_taken() {
    let cx = Context::new();
    let topology = topology("H100");
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let (on, values) = Hardware::of(&cx, "", &topology, &theta).unwrap();
    let time = |law: &dyn OperatorLaw<AllReduce>, kib: u32, group| {
        let call = AllReduce {
            rows: cx.constant(kib),
            bytes_per_row: cx.constant(1024),
            group: cx.constant(group),
        };
        law.time(&call, &on).evaluate(&values).unwrap()
    };
    let chosen = LawSet::default().all_reduce;
    let same = |kib, group, law: &dyn OperatorLaw<AllReduce>| {
        assert_eq!(time(&*chosen, kib, group), time(law, kib, group), "{kib} KiB over {group}");
    };
    same(16, 8, &OneShot); // the decode of a few sequences
    same(1024, 8, &TwoShot);
    same(64 * 1024, 2, &NcclRing);
    same(64 * 1024, 8, &NcclSwitch);
    same(16, 16, &NcclRing); // two nodes
    let pcie = values.clone().with("scale_up_bandwidth", 64e9);
    let call = all_reduce(&cx.constant(1), 2);
    let over_pcie =
        |law: &dyn OperatorLaw<AllReduce>| law.time(&call, &on).evaluate(&pcie).unwrap();
    assert_eq!(over_pcie(&*chosen), over_pcie(&NcclRing));
    assert_eq!(time(&*chosen, 64, 1), 0.0);
}

#[test]
fn active_experts_are_those_that_are_hit() {
    let cx = Context::new();
    let active = |tokens: u32, num_experts, top_k| {
        experts(&cx.constant(tokens), num_experts, top_k, [1, 2])
            .active_experts()
            .evaluate(&Values::new())
            .unwrap()
    };
    // One token hits top_k experts, half of them on each of two ranks.
    assert!((active(1, 256, 8) - 4.0).abs() < 1e-12);
    // Two tokens: 8 of the first, and of the second's 8 those not hit yet, 8·(1 − 8/256).
    assert!((active(2, 256, 8) - (8.0 + 8.0 * 248.0 / 256.0) / 2.0).abs() < 1e-12);
    assert!((active(1_000_000, 256, 8) - 128.0).abs() < 1e-9);
    assert_eq!(active(1, 4, 4), 2.0);
}

#[test]
fn the_busiest_rank_has_more_rows_the_more_popularities_differ() {
    let cx = Context::new();
    let rows = |tokens: u32, routing, ep| {
        Experts { routing, ..experts(&cx.constant(tokens), 256, 8, [1, ep]) }
            .busiest_rows()
            .evaluate(&Values::new())
            .unwrap()
    };
    let skewed = Routing::PowerLaw { alpha: 1.2 };
    for tokens in [64, 1024, 16_384] {
        for ep in [2, 8, 32] {
            let [balanced, chance, power] =
                [Routing::Balanced, Routing::Uniform, skewed].map(|it| rows(tokens, it, ep));
            assert!((balanced - f64::from(tokens * 8 / ep)).abs() < 1e-6);
            assert!(balanced < chance && chance < power, "{tokens} tokens over {ep}");
        }
        assert_eq!(rows(tokens, skewed, 1), f64::from(tokens * 8));
    }
    // By chance 8 192 rows per rank vary by 90, and the greatest of 8 is 1.4 times that above.
    assert!((rows(8192, Routing::Uniform, 8) - 8192.0 - 1.44 * 90.5).abs() < 3.0);
}

#[test]
fn no_experts_are_faster_than_the_hardware() {
    let cx = Context::new();
    let topology = topology("H100");
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let (on, values) = Hardware::of(&cx, "", &topology, &theta).unwrap();
    let formats = [
        (MatrixFormat::Bf16, 2.0, 989.4e12),
        (MatrixFormat::Fp8Block, 1.0, 1978.9e12),
        (MatrixFormat::Int4, 0.52, 989.4e12),
    ];
    for (format, bytes, peak) in formats {
        for low_latency in [None, Some(cx.truth(true)), Some(cx.truth(false))] {
            for tokens in [1, 32, 500, 4096, 65_536] {
                let call = Experts {
                    format,
                    bytes_per_weight: bytes,
                    bytes_per_input: bytes.max(1.0),
                    low_latency: low_latency.clone(),
                    ..experts(&cx.constant(tokens), 128, 8, [1, 4])
                };
                let seconds = AutoRunner.time(&call, &on).evaluate(&values).unwrap();
                let weights = 3.0 * 4096.0 * 2048.0;
                let rows = f64::from(tokens) * 8.0 / 4.0;
                let active = call.active_experts().evaluate(&Values::new()).unwrap();
                assert!(seconds > 2.0 * weights * rows / peak, "{format:?}, {tokens}");
                assert!(seconds > weights * bytes * active / 3.35e12, "{format:?}, {tokens}");
            }
        }
    }
}

#[test]
fn ranks_without_all_to_all_move_all_activations() {
    let cx = Context::new();
    let topology = topology("H100");
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let (on, values) = Hardware::of(&cx, "", &topology, &theta).unwrap();
    let seconds = |ep, here: u32| {
        let call = Experts {
            tokens_here: cx.constant(here),
            ..experts(&cx.constant(16_384), 128, 8, [1, ep])
        };
        FusedMoe.time(&call, &on).evaluate(&values).unwrap()
    };
    let (alone, shared) = (seconds(1, 16_384), seconds(16, 16_384));
    assert!(shared < alone / 3.0 && shared > 1.25 * alone / 16.0, "{shared} of {alone}");
    assert!(seconds(16, 2048) < shared / 1.5);
}

#[test]
fn a_kernel_is_replaced_by_replacing_a_field() {
    #[derive(Debug)]
    struct Ideal;
    impl OperatorLaw<Gemm> for Ideal {
        fn name(&self) -> &str {
            "ideal"
        }
        fn time(&self, gemm: &Gemm, on: &Hardware) -> Expr {
            max(
                gemm.flops() / on.peak_flops(gemm.format.precision()),
                gemm.weight_bytes() / &on.hbm_bandwidth,
            )
        }
    }
    let topology = topology("H100");
    let model = ModelShape::preset("Llama-3.1-8B").unwrap();
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let laws = LawSet { gemm: Box::new(Ideal), ..LawSet::default() };
    let build = |laws: &LawSet| {
        let plan = ParallelPlan::tensor(1);
        StepLaw::with_laws(&Context::new(), "", &model, &topology, &theta, &plan, laws).unwrap()
    };
    let (ideal, default) = (build(&laws), build(&LawSet::default()));
    let step = decode(1, 1000);
    for ((name, new), (_, old)) in ideal.parts().iter().zip(default.parts()) {
        let (new, old) = (at(&ideal, new, &step), at(&default, old, &step));
        if ["t_projections", "t_ffn", "t_logits"].contains(name) {
            assert!(new < old, "{name}");
        } else {
            assert_eq!(new, old, "{name}");
        }
    }
}
