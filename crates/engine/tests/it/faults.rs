//! What goes wrong: no request is lost or counted twice, the router tries again as sglang-router does, and
//! a schedule that cannot be is told whole.

use sglsim_engine::{Event, Failure, LinkKind, Observer, Report, Scenario, SimTime, Simulation};

use crate::scenarios::{base_with, bytes, run};
use crate::watch::Shared;

/// What happened to each request.
#[derive(Debug, Default)]
struct Lives(Vec<Life>);

#[derive(Clone, Debug, Default)]
struct Life {
    /// When the router placed it, and when it found that it had to try again \[s\].
    routed: Vec<f64>,
    retried: Vec<f64>,
    ends: u32,
    refused: bool,
    failed: Option<Failure>,
}

impl Observer for Lives {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        let lives = &mut self.0;
        match *event {
            Event::Arrived { .. } => lives.push(Life::default()),
            Event::Routed { id, .. } => lives[id.index()].routed.push(at.seconds()),
            Event::Retried { id, attempts } => {
                lives[id.index()].retried.push(at.seconds());
                assert_eq!(lives[id.index()].retried.len(), attempts as usize);
            }
            Event::Refused { id } => {
                lives[id.index()].refused = true;
                lives[id.index()].ends += 1;
            }
            Event::Failed { id, reason } => {
                lives[id.index()].failed = Some(reason);
                lives[id.index()].ends += 1;
            }
            Event::Finished { id, .. } => lives[id.index()].ends += 1,
            _ => {}
        }
    }
}

fn watched(scenario: &Scenario) -> (Report, Vec<Life>) {
    let lives = Shared::new(Lives::default());
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let report = simulation.observer(lives.watch()).run().unwrap();
    let lives = lives.take().0;
    assert!(lives.iter().all(|life| life.ends == 1), "ENGINE-1 every request ends, once");
    assert_eq!(report.completed + report.refused + report.failed, lives.len() as u64);
    (report, lives)
}

/// So many requests at once for workers of which each runs one and lets one wait.
fn crowd(requests: u32, workers: &str, more: &[(&str, &str)]) -> Scenario {
    let load = format!(
        "Synthetic(arrivals: Burst, input_len: Fixed(500), output_len: Fixed(5), requests: {requests})"
    );
    let fields = [
        ("workload", load.as_str()),
        ("deployment.workers", workers),
        ("deployment.max_running_requests", "1"),
        ("deployment.max_queued_requests", "1"),
    ];
    base_with(&[&fields, more].concat())
}

const NO_BREAKERS: (&str, &str) = ("router.circuit_breaker", "(disable_circuit_breaker: true)");
const ONCE: (&str, &str) = ("router.retry", "(disable_retries: true)");

#[test]
fn a_full_queue_is_tried_again_with_growing_pauses() {
    let (report, lives) = watched(&crowd(12, "2", &[NO_BREAKERS]));
    assert_eq!(lives.iter().filter(|life| life.refused).count() as u64, report.refused);
    assert!(lives.iter().any(|life| !life.refused && !life.retried.is_empty()), "some make it");
    for life in lives {
        assert!(life.retried.len() <= 4, "five attempts in all");
        // 50 ms times 1.5 each time, give or take a fifth and the rounding to milliseconds.
        for (at, pause) in [0.050, 0.075, 0.112, 0.168].into_iter().enumerate() {
            if let (Some(from), Some(to)) = (life.retried.get(at), life.routed.get(at + 1)) {
                let took = to - from;
                assert!((took - pause).abs() <= 0.2 * pause + 0.001, "{at}: {took}");
            }
        }
    }
}

#[test]
fn one_attempt_is_all_without_retries() {
    let (report, lives) = watched(&crowd(12, "1", &[NO_BREAKERS, ONCE]));
    // One waits; whoever comes after it at the same instant is turned away.
    assert_eq!(report.refused, 11);
    assert!(lives.iter().all(|life| life.routed.len() == 1 && life.retried.is_empty()));
    let (patient, _) = watched(&crowd(12, "1", &[NO_BREAKERS]));
    assert!(patient.refused < report.refused, "{}", patient.refused);
}

#[test]
fn a_worker_that_turns_ten_away_is_not_asked_for_a_minute() {
    let (report, lives) = watched(&crowd(40, "1", &[ONCE]));
    // Ten of them open the breaker; the others find no worker at all.
    let asked = lives.iter().filter(|life| life.refused && !life.routed.is_empty()).count();
    let found_none = lives.iter().filter(|life| life.routed.is_empty()).count();
    assert_eq!(asked, 10);
    assert!(found_none > 0);
    assert_eq!((asked + found_none) as u64, report.refused);
}

/// Steady load for a minute on two prefill and two decode workers, with shared prefixes.
pub(crate) fn busy(faults: &str, more: &[(&str, &str)]) -> Scenario {
    let fields = [
        (
            "deployment",
            "Disaggregated(prefill: (workers: 2, tp_size: 4), decode: (workers: 2, tp_size: 4))",
        ),
        (
            "workload",
            "Synthetic(arrivals: Poisson(rate: 12.0), prefix: (groups: 12, len: Fixed(3000)), \
             input_len: Uniform(min: 200, max: 3000), output_len: Uniform(min: 20, max: 200), requests: 700)",
        ),
        ("model", "Llama-3.1-70B"),
        ("router.policy", "CacheAware()"),
        ("faults", faults),
    ];
    base_with(&[&fields, more].concat())
}

#[test]
fn a_crash_loses_requests_that_have_begun_and_the_cache() {
    let calm = run(&busy("[]", &[]));
    assert_eq!((calm.completed, calm.retries), (700, 0));
    let scenario = busy("[Crash(worker: 0, at: 20.0, down: 5.0)]", &[]);
    let (report, lives) = watched(&scenario);
    assert!(report.retries > 0, "what had not begun is tried again");
    assert!(report.cache_hit_rate() < calm.cache_hit_rate(), "its cache is lost");
    let lost = |life: &&Life| life.failed == Some(Failure::WorkerLost);
    assert!(lives.iter().filter(lost).all(|life| life.routed.last().unwrap() <= &25.0));
    // The decode worker's crash takes those along whose clients have seen tokens.
    let (decode, lives) = watched(&busy("[Crash(worker: 3, at: 20.0, down: 5.0)]", &[]));
    assert!(lives.iter().filter(lost).any(|life| life.retried.is_empty()), "no second attempt");
    assert!(decode.failed > 0);
    assert_eq!(bytes(&report, &scenario), bytes(&run(&scenario), &scenario), "same bytes");
}

#[test]
fn health_checks_keep_a_dead_worker_out_and_let_it_back() {
    let checks = [("router.health_check", "(health_check_interval_secs: 1.0)"), NO_BREAKERS];
    let (report, _) = watched(&busy("[Crash(worker: 0, at: 10.0)]", &checks));
    let late = |record: &&sglsim_engine::RequestRecord| record.arrival.seconds() > 14.0;
    // The third check after the crash is at 13 s.
    assert!(report.requests.iter().filter(late).all(|record| record.retries == 0));
    assert!(report.requests.iter().any(|record| record.retries > 0));
    let (back, _) = watched(&busy("[Crash(worker: 0, at: 10.0, down: 10.0)]", &checks));
    let returned = back.requests.iter().any(|record| {
        record.arrival.seconds() > 22.0 && record.prefill_worker.is_some_and(|w| w.index() == 0)
    });
    assert!(returned, "two good checks, at 21 and 22 s");
}

#[test]
fn a_rolling_restart_loses_nobody_but_every_cache() {
    let calm = run(&busy("[]", &[]));
    let scenario = busy("[RollingRestart(pool: \"prefill\", at: 10.0, down: 5.0)]", &[]);
    let (report, _) = watched(&scenario);
    assert_eq!((report.completed, report.failed, report.retries), (700, 0, 0));
    assert!(report.cache_hit_rate() < calm.cache_hit_rate());
    let scenario = busy("[RollingRestart(pool: \"decode\", at: 10.0, down: 5.0)]", &[]);
    let (report, _) = watched(&scenario);
    assert_eq!((report.completed, report.failed), (700, 0));
    assert_eq!(bytes(&report, &scenario), bytes(&run(&scenario), &scenario), "same bytes");
}

#[test]
fn a_cut_link_holds_requests_back_and_a_slow_node_slows_them() {
    let calm = run(&busy("[]", &[]));
    let (cut, _) = watched(&busy("[Adapters(worker: 0, at: 20.0, until: 26.0)]", &[]));
    assert_eq!(cut.completed, 700, "all wait until it is mended");
    assert!(cut.transfer_time.max > 4.0 && calm.transfer_time.max < 1.0);
    // One adapter of four is enough.
    let (one, _) = watched(&busy("[Link(link: \"node 0 nic 2\", at: 20.0, until: 26.0)]", &[]));
    assert!(one.transfer_time.max > 4.0);
    let (half, _) =
        watched(&busy("[Adapters(worker: 0, at: 0.0, until: 99.0, bandwidth: 0.5)]", &[]));
    assert!(half.transfer_time.mean > calm.transfer_time.mean);
    let (slow, _) = watched(&busy("[Slow(worker: 2, at: 10.0, until: 40.0, factor: 3.0)]", &[]));
    assert!(slow.itl.max > 2.0 * calm.itl.max && slow.completed == 700);
    // Waiting too long for KV is a failure that is tried again.
    let impatient = [("router.waiting_timeout", "2.0"), NO_BREAKERS];
    let (late, lives) = watched(&busy("[Adapters(worker: 0, at: 20.0, until: 26.0)]", &impatient));
    assert!(late.retries > 0);
    let reasons: Vec<_> = lives.iter().filter_map(|life| life.failed).collect();
    assert!(reasons.iter().all(|reason| *reason == Failure::TimedOut), "{reasons:?}");
}

#[test]
fn clients_go_away_and_the_router_limits_what_it_lets_through() {
    let (report, lives) = watched(&busy("[]", &[("client_timeout", "2.0")]));
    assert!(report.failed > 0 && report.completed > 0);
    assert!(lives.iter().filter_map(|life| life.failed).all(|why| why == Failure::Abandoned));
    for record in report.requests.iter().filter(|record| record.finished.is_some()) {
        assert!(record.e2e().unwrap().get() <= 2.0 + 1e-9);
    }
    // Four at a time, and two tokens come into the bucket every second.
    let limits = "(max_concurrent_requests: 4, rate_limit_tokens_per_second: 2, queue_size: 10)";
    let (report, _) = watched(&busy("[]", &[("router.limits", limits)]));
    assert!(report.refused > 0 && report.completed > 0, "the queue is full at times");
}

#[test]
fn a_schedule_that_cannot_be_is_told_whole() {
    let faults = r#"[
        Crash(worker: 7, at: 1.0),
        Crash(worker: 0, at: 5.0, down: 10.0),
        Restart(worker: 0, at: 12.0, down: 1.0),
        Slow(worker: 1, at: 5.0, until: 4.0, factor: 0.5),
        Link(link: "node 0 nick 2", at: 0.0, until: 1.0),
        Link(link: "node 0 nic 2", at: 0.0, until: 9.0, bandwidth: 2.0),
        Adapters(worker: 0, at: 8.0, until: 10.0),
        RollingRestart(pool: "prefil", at: 1.0, down: 1.0),
    ]"#;
    let error = Simulation::new(busy(faults, &[])).unwrap_err().to_string();
    for expected in [
        "8 things are wrong",
        "`faults[0].worker` is 7, allowed is from 0 to 3",
        "`faults[3].until` is 4 s, allowed is after `at`, which is 5 s",
        "`faults[3].factor` is 0.5, allowed is from 1 to 1000000",
        "`faults[4].link` cannot be node 0 nick 2: there is no such link; did you mean `node 0 nic 2`?",
        "`faults[5].bandwidth` is 2, allowed is from 0 to 1",
        "`faults[7].pool` cannot be prefil: there is no such pool; did you mean `prefill`?",
        "`faults[1]` and `faults[2]` overlap: both take worker 0 out",
        "`faults[5]` and `faults[6]` overlap: both change `node 0 nic 2`",
    ] {
        assert!(error.contains(expected), "{expected}\n\n{error}");
    }
    let alone = base_with(&[("faults", "[Adapters(worker: 0, at: 8.0, until: 10.0)]")]);
    let error = Simulation::new(alone).unwrap_err().to_string();
    assert!(error.contains("only in a disaggregated deployment"), "{error}");
    let never = [("router.retry", "(retry_max_retries: 0)")];
    let error = Simulation::new(busy("[]", &never)).unwrap_err();
    assert!(format!("{error:?}").contains("retry_max_retries"), "{error:?}");
}

#[test]
fn a_worker_changes_its_role_and_nobody_is_lost() {
    let spare = ("deployment.decode.standby", "1");
    let scenario = busy("[SwitchRole(worker: 1, at: 15.0, down: 10.0)]", &[spare]);
    let (report, _) = watched(&scenario);
    assert_eq!((report.completed, report.failed, report.retries), (700, 0, 0));
    // Workers: 0 and 1 prefill, 2 and 3 decode, 4 is the one on standby.
    for record in &report.requests {
        let [prefill, decode] =
            [record.prefill_worker, record.decode_worker].map(|worker| worker.unwrap().index());
        if record.arrival.seconds() > 15.0 {
            assert_eq!(prefill, 0);
        }
        assert!(decode < 4 || record.arrival.seconds() > 25.0);
    }
    let switched = &report.pools[1].per_worker[2];
    assert!(switched.requests > 0, "{switched:?}");
    let error = Simulation::new(busy("[SwitchRole(worker: 2, at: 1.0, down: 1.0)]", &[spare]));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("only for one whose other pool has workers on `standby`"), "{error}");
}

#[test]
fn pools_grow_and_shrink_with_the_load() {
    let wave = "Synthetic(arrivals: Poisson(rate: 25.0), input_len: Fixed(500), \
                output_len: Fixed(300), requests: 1500)";
    let scaled = [
        ("workload", wave),
        ("deployment.decode.workers", "1"),
        ("deployment.decode.standby", "5"),
        ("autoscale", "(interval: 2.0, start_up: 5.0, target_load: 60.0)"),
    ];
    let scenario = busy("[]", &scaled);
    let (report, _) = watched(&scenario);
    assert_eq!(report.completed, 1500);
    let served: Vec<u64> =
        report.pools[1].per_worker.iter().map(|worker| worker.requests).collect();
    assert!(served[1] > 0, "the first on standby was started: {served:?}");
    let fixed = run(&busy("[]", &scaled[..2]));
    assert!(report.e2e.mean < fixed.e2e.mean, "{} {}", report.e2e.mean, fixed.e2e.mean);
    assert_eq!(bytes(&report, &scenario), bytes(&run(&scenario), &scenario), "same bytes");
    for (config, expected) in [
        ("(target_load: 0.0)", "`autoscale.target_load` is 0, allowed is from 0.001"),
        ("(target_load: 5.0)", "only with workers on `standby` in some pool"),
    ] {
        let error = Simulation::new(busy("[]", &[("autoscale", config)])).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A decode worker with room for two prompts holds the others back before they are computed.
#[test]
fn prefill_waits_for_memory_on_the_decode_worker() {
    let fields = [
        (
            "deployment",
            "Disaggregated(prefill: (tp_size: 4), decode: (tp_size: 4, max_total_tokens: 9000))",
        ),
        (
            "workload",
            "Synthetic(arrivals: Batches(size: 4, every: 100.0), input_len: Fixed(3000), \
             output_len: Fixed(400), requests: 4)",
        ),
    ];
    let report = run(&base_with(&fields));
    let at = |at: Option<SimTime>| at.unwrap().seconds();
    let [first, .., last] = report.requests.as_slice() else { panic!() };
    assert_eq!(at(first.queued), 0.0);
    // The last one is not even queued for prefill before one has ended.
    let ended =
        report.requests.iter().map(|record| at(record.finished)).fold(f64::INFINITY, f64::min);
    assert!(at(last.queued) >= ended, "{last:?}");
    assert!(last.ttft().unwrap().get() > ended, "TTFT has the wait for memory in it");
    assert!(last.queue_time().unwrap().get() < 0.2, "the prefill worker itself was free");
}

#[test]
fn a_report_says_what_the_router_saw_and_what_links_carried() {
    let report = run(&busy("[]", &[]));
    let [prefill, decode] = report.pools.as_slice() else { panic!() };
    // A prefill worker counts as loaded until the last token, which comes from elsewhere.
    assert!(prefill.load_seen > 3.0 * prefill.load_real, "{prefill:?}");
    assert!((decode.load_seen - decode.load_real).abs() < 0.2 * decode.load_seen, "{decode:?}");
    for pool in &report.pools {
        let requests: u64 = pool.per_worker.iter().map(|worker| worker.requests).sum();
        assert_eq!(requests, 700, "every request is somebody's");
    }
    let carried = |kind| report.network.iter().find(|link| link.kind == kind).unwrap();
    let (out, into) = (carried(LinkKind::NicOut), carried(LinkKind::NicIn));
    assert!((out.utilisation / into.utilisation - 1.0).abs() < 1e-9, "what goes out comes in");
    assert!(
        out.utilisation > 0.0
            && out.utilisation_max <= 1.0
            && out.utilisation_max >= out.utilisation
    );
    // Four nodes' adapters: 2 workers of 4 GPUs on a node of each pool.
    assert_eq!((out.links, into.links), (16, 16));
}
