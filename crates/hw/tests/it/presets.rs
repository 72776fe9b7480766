//! The embedded figures agree with each other and with how the vendors derive them.

use sglsim_hw::{Architecture, Gpu, HwError, Link, Precision, Topology};

const MIB: f64 = 1024.0 * 1024.0;

fn gpus() -> impl Iterator<Item = Gpu> {
    Gpu::names().map(|name| Gpu::preset(name).unwrap())
}

#[test]
fn every_preset_is_valid_and_says_where_it_is_from() {
    for gpu in gpus() {
        gpu.check().unwrap();
        assert!(!gpu.source.is_empty(), "{}", gpu.name);
        Topology::of(gpu).unwrap();
    }
    for link in Link::names().map(|name| Link::preset(name).unwrap()) {
        assert!(link.source.contains("latency assumed"), "{}", link.name);
    }
}

#[test]
fn spellings() {
    for (spelling, name) in [
        ("H100", "H100-SXM"),
        ("h100_sxm", "H100-SXM"),
        ("A100-80G SXM", "A100-80G-SXM"),
        ("a100-sxm4-80gb", "A100-80G-SXM"),
        ("mi300x", "MI300X"),
        ("GB200 NVL72", "GB200"),
        ("l40s", "L40S"),
    ] {
        assert_eq!(Gpu::preset(spelling).unwrap().name, name);
    }
    for (spelling, name) in [
        ("nvlink 4", "NVLink4"),
        ("PCIe5 x16", "PCIe5-x16"),
        ("roce-400", "RoCE-400"),
        ("Infinity Fabric", "InfinityFabric"),
    ] {
        assert_eq!(Link::preset(spelling).unwrap().name, name);
    }
}

#[test]
fn no_spelling_means_two_things() {
    let fold = |s: &String| s.to_lowercase().replace(['-', '_', ' ', '.'], "");
    let mut spellings: Vec<(String, String)> = gpus()
        .flat_map(|gpu| {
            let name = gpu.name.clone();
            gpu.aliases.into_iter().chain([gpu.name]).map(move |s| (fold(&s), name.clone()))
        })
        .collect();
    spellings.sort();
    for pair in spellings.windows(2) {
        assert!(pair[0].0 != pair[1].0, "{pair:?}");
    }
}

/// Rates follow from units, clock and the work of one unit per clock, which the architecture
/// whitepapers give; H20 is capped by export rules and L40S is quoted at a lower clock.
#[test]
fn bf16_rate_is_units_times_clock_times_width() {
    for gpu in gpus().filter(|gpu| gpu.name != "H20") {
        let flops_per_clock = match gpu.architecture {
            Architecture::Ampere => 2048.0,
            // GeForce cards sum in fp32 at half the rate.
            Architecture::Ada if gpu.name == "RTX-4090" => 512.0,
            Architecture::Ada => 1024.0,
            Architecture::Hopper => 4096.0,
            Architecture::Blackwell if gpu.name == "RTX-PRO-6000" => 1024.0,
            Architecture::Blackwell => 8192.0,
            Architecture::Cdna3 => 2048.0,
            other => panic!("no width for {other:?}"),
        };
        let derived = f64::from(gpu.sm_count) * gpu.boost_clock_hz * flops_per_clock;
        let stated = gpu.peak_flops(Precision::Bf16).unwrap().get();
        assert!((derived / stated - 1.0).abs() < 0.02, "{}: {derived} vs {stated}", gpu.name);
    }
}

#[test]
fn half_the_bits_at_twice_the_rate() {
    for gpu in gpus() {
        let bf16 = gpu.peak.bf16.get();
        assert_eq!(gpu.peak.fp16, Some(gpu.peak.bf16), "{}", gpu.name);
        // Integers need no fp32 sums, which GeForce cards do at half the rate.
        let int8 = if gpu.name == "RTX-4090" { 4.0 } else { 2.0 };
        for (rate, factor) in [(gpu.peak.fp8, 2.0), (gpu.peak.int8, int8), (gpu.peak.fp4, 4.0)] {
            if let Some(rate) = rate {
                let off = rate.get() / (factor * bf16) - 1.0;
                assert!(off.abs() < 0.015, "{}: {rate}", gpu.name);
            }
        }
    }
}

#[test]
fn capacities_are_whole_mebibytes_below_the_marketed_gigabytes() {
    for (name, mib) in [
        ("A100-80G-SXM", 81_920.0),
        ("H100-SXM", 81_559.0),
        ("H200", 143_771.0),
        ("H20", 97_871.0),
        ("B200", 183_359.0),
        ("GB200", 189_471.0),
        ("L40S", 46_068.0),
        ("RTX-4090", 24_564.0),
        ("RTX-PRO-6000", 97_887.0),
        ("MI300X", 196_592.0),
    ] {
        assert_eq!(Gpu::preset(name).unwrap().hbm_capacity.get(), mib * MIB, "{name}");
    }
}

#[test]
fn a_missing_rate_lists_the_others() {
    let error = Gpu::preset("A100").unwrap().peak_flops(Precision::Fp8).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`A100-80G-SXM` has no fp8 matrix rate; it has: bf16, fp16, int8"
    );
    assert!(matches!(error, HwError::NoPeak { precision: Precision::Fp8, .. }));
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    assert_eq!(
        Gpu::preset("H1000").unwrap_err().to_string(),
        "unknown GPU `H1000`; did you mean `H100`?; known: A100-80G-SXM, H100-SXM, H200, H20, \
         B200, GB200, L40S, RTX-4090, RTX-PRO-6000, MI300X"
    );
    let error = Link::preset("carrier pigeon").unwrap_err();
    assert!(error.to_string().starts_with("unknown link `carrier pigeon`; known: NVLink3, "));
}
