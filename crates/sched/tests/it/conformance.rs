//! Our own schedulers and queue orders keep their laws.

use sglsim_sched::{
    DecodeScheduler, Fcfs, PrefillDelayerConfig, SchedulePolicy, SchedulePolicyName,
    SchedulerConfig, SchedulerName, SglangScheduler, testing,
};
use sglsim_units::RngStreams;

fn build(policy: SchedulePolicyName, config: &SchedulerConfig) -> Box<dyn SchedulePolicy> {
    policy.build(config, RngStreams::new(1)).unwrap()
}

#[test]
fn sglang_scheduler_keeps_the_laws_under_every_queue_order() {
    for policy in SchedulePolicyName::ALL {
        testing::conformance(|config| {
            Box::new(SglangScheduler::with_policy(config, build(policy, config)))
        });
    }
}

#[test]
fn sglang_scheduler_keeps_the_laws_when_it_holds_prefill_back() {
    testing::conformance(|config| {
        let mut config = config.clone();
        config.prefill_delayer = Some(PrefillDelayerConfig::default());
        Box::new(SglangScheduler::new(&config))
    });
}

#[test]
fn schedulers_for_comparison_keep_the_laws() {
    for name in SchedulerName::ALL {
        testing::conformance(|config| name.build(config, Box::new(Fcfs)));
    }
}

#[test]
fn decode_scheduler_keeps_the_laws() {
    testing::decode_conformance(|_| Box::new(DecodeScheduler::new()));
}

#[test]
fn queue_orders_keep_the_laws() {
    let mut with_priorities = SchedulerConfig::new(100, 1);
    with_priorities.enable_priority_scheduling = true;
    for policy in SchedulePolicyName::ALL {
        testing::policy_conformance(|| build(policy, &SchedulerConfig::new(100, 1)));
    }
    for policy in [SchedulePolicyName::Fcfs, SchedulePolicyName::Lof] {
        testing::policy_conformance(|| build(policy, &with_priorities));
    }
    assert!(SchedulePolicyName::Lpm.build(&with_priorities, RngStreams::new(1)).is_err());
}
