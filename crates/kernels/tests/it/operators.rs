//! Laws of single operators, and replacing them.

use sglsim_expr::{Context, Expr, Values, max};
use sglsim_hw::Precision;
use sglsim_kernels::operator::MatrixFormat;
use sglsim_kernels::operator::attention::{
    DecodeAttention, FlashDecode, FlashPrefill, PrefillAttention,
};
use sglsim_kernels::operator::collective::{
    AllGather, AllReduce, AllToAll, DeepEp, NcclRing, OneShot, ReduceScatter, TwoShot,
};
use sglsim_kernels::operator::elementwise::{Elementwise, MemoryBound};
use sglsim_kernels::operator::gemm::{Gemm, TiledRoofline};
use sglsim_kernels::operator::moe::{Experts, GroupedRoofline};
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
    conformance(&TiledRoofline, &["m"], |s| gemm(&s[0]));
    conformance(&MemoryBound, &["rows"], |s| Elementwise {
        rows: s[0].clone(),
        bytes_per_row: of(&s[0], 32_768),
    });
    conformance(&FlashPrefill, &["pairs", "tokens", "prefix"], |s| PrefillAttention {
        pairs: s[0].clone(),
        tokens: s[1].clone(),
        prefix: s[2].clone(),
        heads: of(&s[0], 8),
        head_dims: (192, 128),
        kv_bytes_per_token: of(&s[0], 4096),
        kv_precision: Precision::Bf16,
        latent: false,
    });
    conformance(&FlashDecode, &["seqs", "context", "query_tokens"], |s| DecodeAttention {
        seqs: s[0].clone(),
        context: s[1].clone(),
        query_tokens: s[2].clone(),
        heads: of(&s[0], 128),
        head_dims: (576, 512),
        kv_bytes_per_token: of(&s[0], 1152),
        kv_precision: Precision::Fp8,
        latent: true,
    });
}

#[test]
fn experts_conform() {
    for (num_experts, top_k) in [(8, 2), (256, 8), (4, 4)] {
        conformance(&GroupedRoofline, &["tokens"], |s| Experts {
            tokens: s[0].clone(),
            num_experts,
            top_k,
            hidden_size: 4096,
            intermediate_size: of(&s[0], 2048),
            ep_size: of(&s[0], 4),
            format: MatrixFormat::Bf16,
            bytes_per_weight: 2.0,
            bytes_per_input: 2.0,
        });
    }
}

#[test]
fn collectives_conform() {
    for group in [1, 2, 4, 8, 16, 64] {
        conformance(&*LawSet::default().all_reduce, &["rows"], |s| all_reduce(&s[0], group));
        conformance(&OneShot, &["rows"], |s| all_reduce(&s[0], group));
        conformance(&TwoShot, &["rows"], |s| all_reduce(&s[0], group));
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
                top_k: 8,
                group: of(&s[0], group),
                low_latency: s[0].context().truth(low_latency),
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
    assert!(message.starts_with("`always on` takes 0.0000035 s for no work"), "{message}");
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
    same(64 * 1024, 8, &NcclRing);
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
        Experts {
            tokens: cx.constant(tokens),
            num_experts,
            top_k,
            hidden_size: 1,
            intermediate_size: cx.constant(1),
            ep_size: cx.constant(2),
            format: MatrixFormat::Bf16,
            bytes_per_weight: 2.0,
            bytes_per_input: 2.0,
        }
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
