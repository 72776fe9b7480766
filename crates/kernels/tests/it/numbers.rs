//! Numbers that can be checked by hand.

use sglsim_kernels::{MoeA2aBackend, ParallelPlan, RankFeatures, StepFeatures};

use crate::scenario::{at, decode, extend, law, topology};

fn part(law: &sglsim_kernels::StepLaw, name: &str, step: &StepFeatures) -> f64 {
    let (_, time) = law.parts().iter().find(|(part, _)| *part == name).unwrap();
    at(law, time, step)
}

#[track_caller]
fn close(got: f64, expected: f64, within: f64) {
    assert!((got / expected - 1.0).abs() <= within, "{got}, expected {expected}");
}

#[test]
fn decode_of_one_reads_the_weights() {
    // 70.55e9 parameters without the embedding, 2 B each, 4 GPUs at 93 % of 3.35 TB/s.
    let law = law("Llama-3.1-70B", ParallelPlan::tensor(4));
    let step = decode(1, 1000);
    let reading = (70.553_706e9 - 128_256.0 * 8_192.0) * 2.0 / 4.0 / (3.35e12 * 0.93);
    let gemms = part(&law, "t_projections", &step)
        + part(&law, "t_ffn", &step)
        + part(&law, "t_logits", &step);
    // 4 GEMMs in 80 layers and the LM head start once each, and four tenths of their arithmetic, which
    // one wave of small tiles cannot speed up, is not hidden.
    let starts = 321.0 * 2.6e-6;
    assert!((1.0..1.2).contains(&(gemms / (reading + starts))), "{gemms} {reading}");
    let time = at(&law, law.step_time(), &step);
    assert!((0.014..0.017).contains(&time), "{time}");
}

#[test]
fn decode_attention_reads_the_cache() {
    // 256 sequences of 4000 tokens, 327 680 B each on 4 GPUs, at 92 % of the bandwidth.
    let law = law("Llama-3.1-70B", ParallelPlan::tensor(4));
    let step = decode(256, 256 * 4000);
    // Each of 80 layers starts, splits contexts, and waits for what is not hidden: about 20 µs.
    let reading = 256.0 * 4000.0 * 327_680.0 / 4.0 / (3.35e12 * 0.92);
    close(part(&law, "t_attention", &step), reading + 80.0 * 20e-6, 0.01);
}

#[test]
fn long_prefill_is_bound_by_arithmetic() {
    let law = law("Llama-3.1-8B", ParallelPlan::tensor(1));
    let step = extend(0, 8192);
    let share = |flops: f64, seconds: f64| flops / 989.4e12 / seconds;
    let linear = 2.0 * (8.030e9 - 2.0 * 128_256.0 * 4_096.0) * 8192.0;
    let gemms = part(&law, "t_projections", &step) + part(&law, "t_ffn", &step);
    assert!((0.70..0.80).contains(&share(linear, gemms)), "{gemms}");
    // 32 heads of 128, 32 layers: 4·32·128·32 FLOP per pair.
    let attention = 4.0 * 32.0 * 128.0 * 32.0 * 8192.0 * 8193.0 / 2.0;
    let seconds = part(&law, "t_attention", &step);
    assert!((0.5..0.65).contains(&share(attention, seconds)), "{seconds}");
}

#[test]
fn chunks_cost_about_the_whole() {
    let law = law("Llama-3.1-8B", ParallelPlan::tensor(1));
    let time = |prefix, new| at(&law, law.step_time(), &extend(prefix, new));
    let whole = time(0, 8192);
    let chunks: f64 = (0..4).map(|chunk| time(chunk * 2048, 2048)).sum();
    // Shorter kernels keep their clocks, but each layer starts four times.
    assert!(whole < 1.02 * chunks && chunks < 1.1 * whole, "{whole} {chunks}");
}

#[test]
fn all_reduce_of_a_large_prefill_is_bound_by_the_link() {
    // 161 all-reduces of 8192 rows of 16 KiB, each twice over three quarters of it, at 70 % of 450 GB/s.
    let law = law("Llama-3.1-70B", ParallelPlan::tensor(4));
    let bytes = 8192.0 * 8192.0 * 2.0;
    close(part(&law, "t_comm", &extend(0, 8192)), 161.0 * 2.0 * 0.75 * bytes / (450e9 * 0.7), 0.03);
}

#[test]
fn window_bounds_what_is_read() {
    let law = law("gpt-oss-20b", ParallelPlan::tensor(1));
    let attention = |context: u64| part(&law, "t_attention", &decode(64, 64 * context));
    let (short, long) = (attention(100_000), attention(101_000));
    // 12 of 24 layers see all: 2·8·64·2 B per token each.
    let reading = 64.0 * 1000.0 * 12.0 * 2048.0 / (3.35e12 * 0.92);
    close(long - short, reading, 0.01);
}

#[test]
fn kernels_launched_one_by_one_wait_for_the_host() {
    let law = law("Llama-3.1-8B", ParallelPlan::tensor(1));
    let graph = decode(1, 100);
    let eager = StepFeatures { eager: 1.0, ..graph };
    let (fast, slow) = (at(&law, law.step_time(), &graph), at(&law, law.step_time(), &eager));
    assert_eq!(part(&law, "t_host", &graph), 1e-3 + 5e-6);
    assert!(slow >= fast && part(&law, "t_host", &eager) > 2e-3);
    assert_eq!(slow, f64::max(part(&law, "t_host", &eager), fast));
}

/// A step that finds the device idle waits for its preparation, 1 ms and 5 µs a sequence, whether its
/// kernels are launched one by one beside the device or not.
#[test]
fn the_first_step_waits_for_its_preparation() {
    let law = law("Llama-3.1-8B", ParallelPlan::tensor(1));
    let prepare = 1e-3 + 5e-6;
    for eager in [0.0, 1.0] {
        let step = StepFeatures { eager, ..decode(1, 100) };
        let first = StepFeatures { serial: 1.0, ..step };
        let (host, time) = (part(&law, "t_host", &step), at(&law, law.step_time(), &first));
        let device = at(&law, law.device_time(), &step);
        close(time, f64::max(device, host - prepare) + prepare, 1e-12);
        assert!(time > at(&law, law.step_time(), &step));
    }
}

#[test]
fn replicas_wait_for_the_one_that_extends() {
    let plan = ParallelPlan { dp_size: 8, ep_size: 8, ..ParallelPlan::tensor(8) };
    let law = law("DeepSeek-V3", plan);
    let mut decoding = RankFeatures::default();
    decoding.set_decode(32, 32, 32 * 2000, 1);
    let mut extending = RankFeatures::default();
    extending.add_extend(0, 4096);
    let alone = StepFeatures::of_ranks(&[decoding; 8]);
    let mut ranks = [decoding; 8];
    ranks[3] = extending;
    let mixed = StepFeatures::of_ranks(&ranks);
    let only = StepFeatures::of_ranks([&extending]);
    let attention = |step: &StepFeatures| part(&law, "t_attention", step);
    assert_eq!(attention(&mixed), attention(&alone).max(attention(&only)));
    assert!(at(&law, law.step_time(), &mixed) > 2.0 * at(&law, law.step_time(), &alone));
}

#[test]
fn all_to_all_sends_less_than_gathering_in_a_long_prefill() {
    let plan = ParallelPlan { dp_size: 16, ep_size: 16, ..ParallelPlan::tensor(16) };
    let deep_ep = ParallelPlan { moe_a2a_backend: MoeA2aBackend::DeepEp, ..plan };
    let mut rank = RankFeatures::default();
    rank.add_extend(0, 4096);
    let step = StepFeatures::of_ranks(&[rank; 16]);
    let comm = |plan| part(&law("DeepSeek-V3", plan), "t_comm", &step);
    assert!(comm(deep_ep) < comm(plan) / 2.0);
}

#[test]
fn a_second_node_slows_the_collectives() {
    let comm = |tp| {
        let law = law("Llama-3.1-405B", ParallelPlan::tensor(tp));
        part(&law, "t_comm", &decode(8, 8000))
    };
    assert!(topology("H100").is_intra_node(8) && !topology("H100").is_intra_node(16));
    assert!(comm(16) > 1.5 * comm(8));
}
