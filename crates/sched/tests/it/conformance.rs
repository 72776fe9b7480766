//! Our own schedulers and queue orders keep their laws.

use sglsim_sched::{DecodeScheduler, SchedulePolicyName, SglangScheduler, testing};

const POLICIES: [SchedulePolicyName; 3] =
    [SchedulePolicyName::Fcfs, SchedulePolicyName::Lpm, SchedulePolicyName::Lof];

#[test]
fn sglang_scheduler_keeps_the_laws_under_every_queue_order() {
    for policy in POLICIES {
        testing::conformance(|config| {
            Box::new(SglangScheduler::with_policy(config, policy.build()))
        });
    }
}

#[test]
fn decode_scheduler_keeps_the_laws() {
    testing::decode_conformance(|_| Box::new(DecodeScheduler::new()));
}

#[test]
fn queue_orders_keep_the_laws() {
    for policy in POLICIES {
        testing::policy_conformance(|| policy.build());
    }
}
