//! Timelines: what they keep agrees with the report, is bounded, and changes nothing.

use serde_json::Value;
use sglsim_engine::{Keep, Moment, Report, RequestId, Scenario, SimTime, Simulation, Timeline};

const PAIR: &str =
    "Disaggregated(prefill: (workers: 2), decode: (workers: 1, max_total_tokens: Some(40000)))";
const ONE: &str = "Aggregated(workers: 2, max_total_tokens: Some(30000))";
const STAGES: &str = "Aggregated(pp_size: 2, chunked_prefill_size: Some(2048))";

fn simulation(deployment: &str) -> Simulation {
    let scenario = Scenario::from_ron(&format!(
        r#"(
            model: "Llama-3.1-8B",
            hardware: (gpu: "H100-SXM"),
            deployment: {deployment},
            router: (policy: RoundRobin),
            workload: Synthetic(
                arrivals: Poisson(rate: 6.0),
                input_len: LogNormal(mean: 6000, cv: 0.8, max: 20000),
                output_len: Uniform(min: 1, max: 300),
                prefix: (groups: 3, len: Fixed(500)),
                requests: 80,
            ),
        )"#
    ));
    Simulation::new(scenario.unwrap()).unwrap()
}

fn record(deployment: &str, keep: Keep) -> (Report, Timeline) {
    Timeline::record(simulation(deployment), keep).unwrap()
}

#[test]
fn stages_of_a_life_add_up_to_its_latency() {
    for deployment in [PAIR, ONE, STAGES] {
        let (report, timeline) = record(deployment, Keep::default());
        assert_eq!(timeline.requests().count(), 80);
        for id in timeline.requests() {
            let (life, told) = (timeline.life(id).unwrap(), report.requests[id.index()]);
            let stages = life.stages();
            assert!(stages.windows(2).all(|pair| pair[0].2 == pair[1].1), "{deployment} {id}");
            let total: f64 = stages.iter().map(|(_, from, to)| to.since(*from).get()).sum();
            let e2e = told.e2e().unwrap().get();
            assert!((total - e2e).abs() < 1e-9 * e2e, "{deployment} {id}: {total} of {e2e}");
            let computed: u64 = life.moments.iter().fold(0, |sum, (_, moment)| match moment {
                Moment::Extended { tokens, of, .. } if tokens <= of => sum + tokens,
                _ => sum,
            });
            if told.retractions == 0 {
                assert_eq!(computed, told.prompt_tokens - told.cached_tokens, "{deployment} {id}");
            }
        }
    }
}

#[test]
fn a_crash_shows_in_the_lives_that_it_cuts() {
    let crash = "[Crash(worker: 0, at: 4.0, down: 2.0)]";
    let scenario = simulation(PAIR).scenario().with("faults", crash).unwrap();
    let simulation = Simulation::new(scenario).unwrap();
    let (report, timeline) = Timeline::record(simulation, Keep::default()).unwrap();
    let mut cut = 0;
    for id in timeline.requests() {
        let life = timeline.life(id).unwrap();
        let mut moments = life.moments.iter().map(|(_, moment)| moment);
        let is_cut = moments.any(|m| matches!(m, Moment::Retried { .. } | Moment::Failed { .. }));
        cut += u32::from(is_cut);
        if let Some(e2e) = report.requests[id.index()].e2e() {
            let stages = life.stages();
            let total: f64 = stages.iter().map(|(_, from, to)| to.since(*from).get()).sum();
            assert!((total - e2e.get()).abs() < 1e-9 * e2e.get(), "{id}: {life:?}");
        }
    }
    assert!(cut > 0, "somebody was on worker 0");
}

#[test]
fn waiting_for_room_is_a_stage() {
    let (report, timeline) = record(PAIR, Keep::default());
    let waited = |id: RequestId| -> f64 {
        let stages = timeline.life(id).unwrap().stages();
        let room = stages.iter().filter(|(stage, ..)| stage.contains("room"));
        room.map(|(_, from, to)| to.since(*from).get()).sum()
    };
    let mut longest = 0.0_f64;
    for id in timeline.requests() {
        let told = report.requests[id.index()];
        assert_eq!(waited(id), told.queued.unwrap().since(told.arrival).get());
        longest = longest.max(waited(id));
    }
    assert!(longest > 1.0, "the decode worker is short of memory: {longest}");
}

#[test]
fn watching_changes_nothing() {
    let plain = simulation(PAIR).run().unwrap();
    assert_eq!(record(PAIR, Keep::default()).0, plain);
    assert_eq!(record(PAIR, Keep::only(RequestId(3))).0, plain);
}

#[test]
fn only_what_is_asked_for_is_kept() {
    let (report, one) = record(PAIR, Keep::only(RequestId(7)));
    assert_eq!(one.requests().collect::<Vec<_>>(), [RequestId(7)]);
    let (_, all) = record(PAIR, Keep::default());
    assert!(one.steps() < all.steps());
    assert_eq!(one.life(RequestId(7)), all.life(RequestId(7)));

    let at = |seconds: f64| SimTime::new(seconds).unwrap();
    let keep = Keep { from: at(3.0), to: Some(at(5.0)), ..Keep::default() };
    let (_, window) = record(PAIR, keep);
    let arrivals = report.requests.iter().map(|record| record.arrival);
    let within = arrivals.filter(|arrival| (at(3.0)..=at(5.0)).contains(arrival)).count();
    assert_eq!(window.requests().count(), within);
    assert!(within > 3);
}

#[test]
fn chrome_events_lie_where_the_report_says() {
    for deployment in [PAIR, STAGES] {
        let (report, timeline) = record(deployment, Keep::default());
        let mut text = Vec::new();
        timeline.write_chrome(&mut text).unwrap();
        let trace: Value = serde_json::from_slice(&text).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let number = |event: &Value, key: &str| event[key].as_f64().unwrap();
        let end = report.requests.iter().filter_map(|record| record.finished).max().unwrap();
        let end = (end.seconds() + 1.0) * 1e6;
        let mut tracks = std::collections::BTreeMap::new();
        for event in events.iter().filter(|event| event["ph"] == "X") {
            let (from, took) = (number(event, "ts"), number(event, "dur"));
            assert!(from >= 0.0 && took >= 0.0 && from + took <= end, "{event}");
            if event["cat"] == "step" {
                let track = (event["pid"].as_u64(), event["tid"].as_u64());
                let busy = tracks.insert(track, from + took).unwrap_or(0.0);
                assert!(from >= busy - 2e-3, "steps of a track do not overlap: {event}");
            }
        }
        assert!(tracks.len() >= 2);
        let (open, closed) = ("b", "e");
        let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        assert_eq!(count(open), count(closed));
        assert_eq!(count(open) > 0, deployment == PAIR);
    }
}
