//! Laws of the vocabulary.

use proptest::prelude::*;
use sglsim_units::{Bytes, BytesPerSec, RngStreams, Seconds, SimTime, nearest};

proptest! {
    #[test]
    fn an_instant_plus_a_duration_is_never_earlier(t in 0.0..1e9_f64, d in 0.0..1e9_f64) {
        let (t, d) = (SimTime::new(t).unwrap(), Seconds::new(d).unwrap());
        prop_assert!(t + d >= t);
        prop_assert_eq!(t.since(t + d), Seconds::ZERO);
    }

    #[test]
    fn transfer_time_grows_with_the_amount(a in 0.0..1e15_f64, b in 0.0..1e15_f64, w in 1.0..1e13_f64) {
        let rate = BytesPerSec::new(w).unwrap();
        let time = |bytes: f64| Bytes::new(bytes).unwrap() / rate;
        prop_assert!(time(a.min(b)) <= time(a.max(b)));
    }

    #[test]
    fn a_name_is_nearest_to_itself(name in "[a-z_]{1,20}") {
        prop_assert_eq!(nearest(&name, ["zzzzzzzzzzzzzzzzzzzzzzzzzz", &name]), Some(name.as_str()));
    }
}

#[test]
fn quantities_refuse_what_they_cannot_be() {
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(SimTime::new(bad).is_err());
        assert!(Seconds::new(bad).is_err());
        assert!(Bytes::new(bad).is_err());
        assert!(BytesPerSec::new(bad).is_err());
    }
    assert_eq!(
        BytesPerSec::new(-1.0).unwrap_err().to_string(),
        "bandwidth is -1 B/s, allowed is > 0 and finite"
    );
    assert!(serde_json::from_str::<BytesPerSec>("0").is_err());
}

#[test]
fn streams_are_independent_of_each_other() {
    use rand_core::Rng;
    let streams = RngStreams::new(7);
    let first = |name: &str| streams.stream(name).next_u64();
    assert_ne!(first("a"), first("b"));
    assert_ne!(streams.child(0).stream("a").next_u64(), streams.child(1).stream("a").next_u64());
    assert_ne!(RngStreams::new(8).stream("a").next_u64(), first("a"));
}
