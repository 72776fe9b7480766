//! Policies in a scenario file.

use sglsim_router::{CacheAware, CacheAwareConfig, PolicyConfig, RouteError};
use sglsim_units::RngStreams;

use crate::{options, read};

#[test]
fn what_is_left_out_has_the_default() {
    assert_eq!(read("RoundRobin").unwrap(), PolicyConfig::RoundRobin);
    assert_eq!(read("CacheAware()").unwrap(), PolicyConfig::default());
    let half = CacheAwareConfig { cache_threshold: 0.5, ..CacheAwareConfig::default() };
    assert_eq!(read("CacheAware(cache_threshold: 0.5)").unwrap(), PolicyConfig::CacheAware(half));
    assert!(read("CacheAware(cache_treshold: 0.5)").is_err());
    assert!(read("CacheAware(eviction_interval: -1.0)").is_err());
}

#[test]
fn a_file_can_be_written_and_read_back() {
    for config in [PolicyConfig::PowerOfTwo, PolicyConfig::default()] {
        let text = options().to_string(&config).unwrap();
        assert_eq!(read(&text).unwrap(), config);
    }
}

#[test]
fn names_are_those_of_the_command_line() {
    let names = [
        (PolicyConfig::RoundRobin, "round_robin"),
        (PolicyConfig::Random, "random"),
        (PolicyConfig::PowerOfTwo, "power_of_two"),
        (PolicyConfig::default(), "cache_aware"),
        (read("Bucket()").unwrap(), "bucket"),
        (read("PrefixHash()").unwrap(), "prefix_hash"),
        (read("ConsistentHashing()").unwrap(), "consistent_hashing"),
        (read("Manual()").unwrap(), "manual"),
    ];
    for (config, name) in names {
        assert_eq!(config.build(RngStreams::new(0)).unwrap().name(), name);
    }
}

#[test]
fn thresholds_are_checked() {
    for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let config = CacheAwareConfig { cache_threshold: wrong, ..CacheAwareConfig::default() };
        let error = CacheAware::new(config, RngStreams::new(0)).unwrap_err();
        assert!(matches!(error, RouteError::OutOfRange { field: "cache_threshold", .. }));
    }
    for wrong in [0.9, f64::NAN, f64::INFINITY] {
        let config =
            CacheAwareConfig { balance_rel_threshold: wrong, ..CacheAwareConfig::default() };
        let error = PolicyConfig::CacheAware(config).build(RngStreams::new(0)).unwrap_err();
        assert!(matches!(error, RouteError::OutOfRange { field: "balance_rel_threshold", .. }));
    }
    for (text, field) in [
        ("Bucket(balance_rel_threshold: 0.5)", "balance_rel_threshold"),
        ("Bucket(bucket_adjust_interval: 0.0)", "bucket_adjust_interval"),
        ("Bucket(characters_per_token: 0)", "characters_per_token"),
        ("CacheAware(characters_per_token: 0)", "characters_per_token"),
        ("PrefixHash(prefix_token_count: 0)", "prefix_token_count"),
        ("PrefixHash(load_factor: 0.9)", "load_factor"),
    ] {
        let config: PolicyConfig = read(text).unwrap();
        let error = config.build(RngStreams::new(0)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{field}` is ")), "{error}");
    }
    let config = CacheAwareConfig { cache_threshold: 1.5, ..CacheAwareConfig::default() };
    let message = CacheAware::new(config, RngStreams::new(0)).unwrap_err().to_string();
    assert_eq!(message, "`cache_threshold` is 1.5, allowed is 0 to 1");
}
