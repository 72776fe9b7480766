//! Laws of putting GPUs together.

use proptest::prelude::*;
use sglsim_hw::{Gpu, HwError, Link, Topology};
use sglsim_units::Bytes;

fn topology(gpus_per_node: u32) -> Result<Topology, HwError> {
    let [inside, between] = ["NVLink4", "IB-NDR"].map(|name| Link::preset(name).unwrap());
    Topology::new(Gpu::preset("H100").unwrap(), gpus_per_node, inside, between)
}

proptest! {
    #[test]
    fn nodes_hold_their_gpus_and_none_is_spare(per_node in 1_u32..100, gpus in 0_u32..100_000) {
        let topology = topology(per_node).unwrap();
        let nodes = topology.nodes_for(gpus);
        prop_assert!(nodes * per_node >= gpus);
        prop_assert!(nodes.saturating_sub(1) * per_node < gpus.max(1));
        prop_assert_eq!(topology.is_intra_node(gpus), nodes <= 1);
        let link = if nodes <= 1 { "NVLink4" } else { "IB-NDR" };
        prop_assert_eq!(&topology.link_within(gpus).name, link);
    }

    #[test]
    fn transfers_take_longer_the_larger_they_are(a in 0.0_f64..1e12, b in 0.0_f64..1e12) {
        let link = Link::preset("NVLink4").unwrap();
        let time = |bytes| link.transfer_time(Bytes::new(bytes).unwrap());
        prop_assert!(time(a) >= link.latency);
        prop_assert!(time(a + b) >= time(a));
    }
}

#[test]
fn a_gpu_comes_in_its_usual_node() {
    let rack = Topology::of(Gpu::preset("GB200").unwrap()).unwrap();
    assert_eq!((rack.gpus_per_node(), &*rack.scale_up().name), (72, "NVLink5"));
    let server = Topology::of(Gpu::preset("L40S").unwrap()).unwrap();
    assert_eq!((server.node().gpus, &*server.node().scale_up.name), (8, "PCIe4-x16"));
    assert_eq!(server.gpu().name, "L40S");
    assert_eq!(server.scale_out().name, "RoCE-400");
}

#[test]
fn impossible_topologies_are_refused() {
    assert!(matches!(topology(0).unwrap_err(), HwError::OutOfRange { field: "gpus_per_node", .. }));
    let mut gpu = Gpu::preset("H100").unwrap();
    gpu.sm_count = 0;
    assert!(matches!(
        Topology::of(gpu.clone()).unwrap_err(),
        HwError::OutOfRange { field: "sm_count", .. }
    ));
    gpu.scale_up = "NVLink6".to_owned();
    let error = Topology::of(gpu).unwrap_err();
    assert!(error.to_string().contains("did you mean"), "{error}");
}
