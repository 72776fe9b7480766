//! Means and variations of many draws lie where the laws say, within three standard errors.

use sglsim_units::RngStreams;
use sglsim_workload::{Arrivals, LengthBin, LengthLaw, Request, SyntheticConfig};

const DRAWS: u64 = 100_000;

fn requests(config: &SyntheticConfig) -> Vec<Request> {
    let mut workload = config.build(RngStreams::new(42)).unwrap();
    std::iter::from_fn(|| workload.pop()).collect()
}

fn lengths(law: LengthLaw) -> Vec<f64> {
    let config = SyntheticConfig::new(Arrivals::Burst, LengthLaw::Fixed(1), law, DRAWS);
    requests(&config).iter().map(|request| f64::from(request.output_len)).collect()
}

fn gaps(arrivals: Arrivals) -> Vec<f64> {
    let one = || LengthLaw::Fixed(1);
    let all = requests(&SyntheticConfig::new(arrivals, one(), one(), DRAWS + 1));
    assert_eq!(all[0].arrival.seconds(), 0.0);
    all.windows(2).map(|pair| (pair[1].arrival - pair[0].arrival).get()).collect()
}

/// Mean and standard deviation, and the standard errors of both (that of the deviation from the
/// sample's own fourth moment).
fn moments(sample: &[f64]) -> [(f64, f64); 2] {
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    let central = |power| sample.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let variance = central(2);
    let sd = variance.sqrt();
    let sd_error = ((central(4) - variance * variance) / n).max(0.0).sqrt() / (2.0 * sd);
    [(mean, sd / n.sqrt()), (sd, sd_error)]
}

#[track_caller]
fn check(sample: &[f64], mean: f64, sd: f64) {
    for ((found, error), expected) in moments(sample).into_iter().zip([mean, sd]) {
        assert!(
            (found - expected).abs() <= 3.0 * error + 1e-12 * expected,
            "found {found} ± {error}, expected {expected}"
        );
    }
}

/// Mean and standard deviation of a law given by its probabilities (any scale).
fn exact(probabilities: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let moment = |power| probabilities.clone().map(|(x, p)| p * f64::powi(x, power)).sum::<f64>();
    let (mass, mean) = (moment(0), moment(1) / moment(0));
    (mean, (moment(2) / mass - mean * mean).sqrt())
}

#[test]
fn log_normal_lengths() {
    let law = LengthLaw::LogNormal { mean: 1200.0, cv: 0.8, max: 1 << 20 };
    check(&lengths(law), 1200.0, 960.0);
    let (median, sigma) = (500.0, 0.5_f64);
    let mean = median * (sigma * sigma / 2.0).exp();
    let law = LengthLaw::LogNormalMedian { median, sigma, max: 1 << 20 };
    check(&lengths(law), mean, mean * (sigma * sigma).exp_m1().sqrt());
    assert!(
        lengths(LengthLaw::LogNormal { mean: 50.0, cv: 0.0, max: 50 }).iter().all(|l| *l == 50.0)
    );
}

#[test]
fn uniform_lengths() {
    let uniform = |min: u32, max: u32| exact((min..=max).map(|len| (f64::from(len), 1.0)));
    let (mean, sd) = uniform(10, 20);
    check(&lengths(LengthLaw::Uniform { min: 10, max: 20 }), mean, sd);
    // int(1023 * 0.5) = 511, as Python cuts.
    let sample = lengths(LengthLaw::Random { len: 1023, range_ratio: 0.5 });
    let (mean, sd) = uniform(511, 1023);
    check(&sample, mean, sd);
    assert_eq!(sample.iter().copied().fold(f64::MAX, f64::min), 511.0);
    assert_eq!(sample.iter().copied().fold(0.0, f64::max), 1023.0);
    let from_one = lengths(LengthLaw::Random { len: 4, range_ratio: 0.0 });
    assert_eq!(from_one.iter().copied().fold(f64::MAX, f64::min), 1.0);
}

#[test]
fn zipf_lengths() {
    for exponent in [0.0, 0.7, 1.0, 1.0 + 1e-9, 2.5] {
        let (mean, sd) = exact((1..=500_u32).map(|k| (f64::from(k), f64::from(k).powf(-exponent))));
        check(&lengths(LengthLaw::Zipf { exponent, max: 500 }), mean, sd);
    }
}

#[test]
fn histogram_lengths() {
    let bin = |min, max, weight| LengthBin { min, max, weight };
    let bins = vec![bin(900, 1000, 0.0), bin(1, 10, 3.0), bin(100, 199, 1.0), bin(7, 7, 2.0)];
    let (mean, sd) = exact(bins.iter().flat_map(|bin| {
        let width = f64::from(bin.max - bin.min + 1);
        (bin.min..=bin.max).map(move |len| (f64::from(len), bin.weight / width))
    }));
    let sample = lengths(LengthLaw::Histogram(bins));
    check(&sample, mean, sd);
    assert!(sample.iter().all(|len| *len < 900.0));
}

#[test]
fn gaps_between_arrivals() {
    check(&gaps(Arrivals::Poisson { rate: 4.0 }), 0.25, 0.25);
    for cv in [0.2, 1.0, 3.0] {
        check(&gaps(Arrivals::Gamma { rate: 4.0, cv }), 0.25, 0.25 * cv);
    }
}

#[test]
fn arrivals_without_chance() {
    let times = |arrivals| -> Vec<f64> {
        let one = || LengthLaw::Fixed(1);
        let config = SyntheticConfig::new(arrivals, one(), one(), 7);
        requests(&config).iter().map(|request| request.arrival.seconds()).collect()
    };
    assert_eq!(times(Arrivals::Constant { rate: 10.0 }), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    assert_eq!(times(Arrivals::Burst), [0.0; 7]);
    let batches = Arrivals::Batches { size: 3, every: 2.5 };
    assert_eq!(times(batches), [0.0, 0.0, 0.0, 2.5, 2.5, 2.5, 5.0]);
}

#[test]
fn another_law_in_one_place_moves_no_other_draw() {
    let base = SyntheticConfig::new(
        Arrivals::Poisson { rate: 1.0 },
        LengthLaw::Uniform { min: 1, max: 100 },
        LengthLaw::Uniform { min: 1, max: 100 },
        200,
    );
    let mut other = base.clone();
    other.input_len = LengthLaw::LogNormal { mean: 77.0, cv: 1.0, max: 1000 };
    let (base, other) = (requests(&base), requests(&other));
    assert!(base.iter().zip(&other).all(|(a, b)| a.arrival == b.arrival));
    assert!(base.iter().zip(&other).all(|(a, b)| a.output_len == b.output_len));
    assert!(base.iter().zip(&other).any(|(a, b)| a.prompt != b.prompt));
    // And two laws with one shape are not one stream.
    assert!(base.iter().any(|r| r.prompt.tokens() != u64::from(r.output_len)));
}
