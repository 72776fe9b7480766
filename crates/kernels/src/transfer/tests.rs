//! Tests of the transfer law.

use super::*;
use sglsim_hw::Architecture;

#[track_caller]
fn lanes(model: &str, prefill: ParallelPlan, decode: ParallelPlan) -> f64 {
    let model = ModelShape::preset(model).unwrap();
    let theta = Coefficients::for_architecture(Architecture::Hopper);
    let link = Link::preset("IB-NDR").unwrap();
    let law = TransferLaw::of(&Context::new(), &model, &link, &theta, [&prefill, &decode]).unwrap();
    law.lanes().evaluate(law.values()).unwrap()
}

#[test]
fn the_smaller_side_and_the_heads_limit_the_lanes() {
    let tp = ParallelPlan::tensor;
    assert_eq!(lanes("Llama-3.1-70B", tp(2), tp(8)), 2.0);
    assert_eq!(lanes("Llama-3.1-70B", tp(8), tp(4)), 4.0);
    assert_eq!(lanes("Llama-3.1-405B", tp(16), tp(16)), 8.0);
    assert_eq!(lanes("DeepSeek-V3", tp(8), tp(8)), 1.0);
}

#[test]
fn nothing_to_send_takes_no_time() {
    let model = ModelShape::preset("Llama-3.1-8B").unwrap();
    let theta = Coefficients::for_architecture(Architecture::Hopper);
    let plan = ParallelPlan::tensor(1);
    let link = Link::preset("RoCE-400").unwrap();
    let law = TransferLaw::of(&Context::new(), &model, &link, &theta, [&plan, &plan]).unwrap();
    let mut program = law.compile().unwrap();
    assert_eq!(program.seconds(0), 0.0);
    assert!(program.seconds(1) > theta.transfer.latency);
    assert!(program.seconds(2) > program.seconds(1));
}
