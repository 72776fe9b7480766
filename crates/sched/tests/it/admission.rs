//! Admission against answers recorded from SGLang 0.5.23's own `SchedulePolicy` and
//! `PrefillAdder`: order of the queue, verdicts, slices and budgets.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sglsim_radix::{Prompt, Span};
use sglsim_sched::{
    AddReqResult, BatchState, ForwardMode, Needs, PrefillAdder, QueueEntry, SchedulePolicy,
    SchedulePolicyName, Scheduler, SchedulerConfig, Slot, Submission, testing::seed,
};
use sglsim_units::{RequestId, SimTime, TokenCount};

use crate::rank::{rank, rank_without_cache};

/// The folder of the recorded answers, if this machine has it.
fn folder() -> Option<PathBuf> {
    let data = PathBuf::from(std::env::var_os("SGLSIM_DATA")?);
    Some(data.parent()?.join("tools/sglang-reference/examples"))
}

fn lines(name: &str) -> Option<Vec<Value>> {
    let text = fs::read_to_string(folder()?.join(name)).expect("the recorded answers are there");
    let of = |line: &str| serde_json::from_str(line).expect("a line is JSON");
    Some(text.lines().filter(|line| !line.trim().is_empty()).map(of).collect())
}

/// A scenario, with its fields under the names they have in the file.
struct Scenario<'a>(&'a Value);

impl Scenario<'_> {
    fn number(&self, field: &str, default: u64) -> u64 {
        self.0.get(field).map_or(default, |value| value.as_u64().expect("a number"))
    }

    fn flag(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    fn list(&self, field: &str) -> &[Value] {
        self.0.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn policy_name(&self) -> &str {
        self.0.get("policy").and_then(Value::as_str).unwrap_or("fcfs")
    }

    /// Why this scenario is not ours to answer, if so.
    fn not_covered(&self) -> Option<String> {
        let requests = self.list("waiting").iter().chain(self.list("running"));
        let exact = |request: &&Value| request["ignore_eos"] == true;
        if self.policy_name() == "shortest-prefill-first" {
            Some("the chunk cap of shortest-prefill-first".into())
        } else if self.flag("preempt") {
            Some("preemption".into())
        } else if self.number("mixed_decode_tokens", 0) > 0 {
            Some("mixed chunk".into())
        } else if self.0.get("prefill_max_requests").is_some_and(|limit| !limit.is_null()) {
            Some("prefill_max_requests".into())
        } else if self.flag("disable_tree") && requests.clone().any(|r| exact(&r)) {
            Some("ignore_eos without a tree".into())
        } else {
            None
        }
    }

    fn rows(&self) -> Option<u64> {
        self.0.get("allocatable").and_then(Value::as_u64)
    }

    fn config(&self) -> SchedulerConfig {
        let page = self.number("page_size", 1);
        let capacity = self.number("capacity", 0);
        let held = self.list("running").len() + usize::from(self.0.get("chunked").is_some());
        let rows = held as u64 + self.rows().unwrap_or(100_000);
        let small = |value: u64| u32::try_from(value).expect("settings are small");
        let mut config = SchedulerConfig::new(capacity - capacity % page, small(rows));
        config.page_size = small(page);
        config.max_prefill_tokens = small(self.number("max_prefill_tokens", 16384));
        config.chunked_prefill_size = match self.0.get("chunked_prefill_size") {
            None => Some(8192),
            Some(value) => value.as_u64().map(small),
        };
        config
    }

    fn ratio(&self) -> f64 {
        self.0.get("new_token_ratio").map_or(0.7, |ratio| ratio.as_f64().expect("a number"))
    }

    /// The rank of the scenario, and the names of its requests by id.
    fn rank(&self) -> (BatchState, Vec<String>) {
        let config = self.config();
        let mut batch =
            if self.flag("disable_tree") { rank_without_cache(&config) } else { rank(&config) };
        let mut names = Vec::new();
        for tokens in self.list("cached") {
            if !self.flag("disable_tree") {
                seed::cache(&mut batch, &prompt(tokens));
            }
        }
        for request in self.list("running") {
            let own = Span::new(u64::MAX - names.len() as u64, u32_of(&request["prompt"]));
            let new = submission(request, [own].into_iter().collect(), &mut names);
            let tokens = new.prompt.tokens() + generated(request);
            seed::running(&mut batch, new, generated(request), tokens);
        }
        if let Some(request) = self.0.get("chunked") {
            let new = submission(request, prompt(&request["tokens"]), &mut names);
            seed::chunked(&mut batch, new, request["done"].as_u64().expect("a number"));
        }
        for request in self.list("waiting") {
            let new = submission(request, prompt(&request["tokens"]), &mut names);
            seed::waiting(&mut batch, new, generated(request));
        }
        (batch, names)
    }
}

fn policy(name: &str) -> Option<SchedulePolicyName> {
    serde_json::from_value(Value::from(name)).ok()
}

fn u32_of(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a number")).expect("lengths are small")
}

fn generated(request: &Value) -> TokenCount {
    request["out"].as_u64().unwrap_or(0)
}

/// A queue order that is not ours, as the recorded answer has it: tests what follows from it.
#[derive(Debug)]
struct Recorded(Vec<RequestId>);

impl SchedulePolicy for Recorded {
    fn name(&self) -> &str {
        "recorded"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&at| self.0.iter().position(|id| *id == entries[at].id));
    }
}

/// The policy of a scenario, or the order that was recorded for it.
fn policy_of(scenario: &Scenario<'_>, theirs: &Value, names: &[String]) -> Box<dyn SchedulePolicy> {
    let id = |rid: &Value| names.iter().position(|name| rid == name).expect("a name of the queue");
    match policy(scenario.policy_name()) {
        Some(policy) => policy.build(),
        None => {
            let order = theirs["order"].as_array().expect("a list").iter();
            Box::new(Recorded(order.map(|rid| RequestId::from_index(id(rid))).collect()))
        }
    }
}

/// `{"seed": s, "len": n}` is a text of its own; a token of a list is a text of one token.
fn prompt(tokens: &Value) -> Prompt {
    match tokens.as_array() {
        Some(list) => list.iter().map(|id| Span::new(u64::from(u32_of(id)), 1)).collect(),
        None => {
            let content = (1 << 40) + u64::from(u32_of(&tokens["seed"]));
            [Span::new(content, u32_of(&tokens["len"]))].into_iter().collect()
        }
    }
}

fn submission(request: &Value, prompt: Prompt, names: &mut Vec<String>) -> Submission {
    let id = RequestId::from_index(names.len());
    names.push(request["rid"].as_str().expect("a name").to_owned());
    let max_new_tokens = request["max_new"].as_u64().expect("a number");
    Submission {
        id,
        prompt,
        // All answers begin alike there.
        output_content: 1 << 50,
        max_new_tokens,
        stop_after: max_new_tokens,
        ignore_eos: request["ignore_eos"] == true,
        arrival: SimTime::ZERO,
    }
}

/// The walk over the queue, written down as the recorded answers are.
struct Walk<'a> {
    batch: BatchState,
    adder: PrefillAdder,
    names: &'a [String],
    steps: Vec<Value>,
    /// Slots of a last, partial page that the recorded pool has and ours has not.
    extra: f64,
}

impl Walk<'_> {
    fn name(&self, slot: Slot) -> &str {
        &self.names[self.batch.id(slot).index()]
    }

    fn budgets(&self) -> Value {
        serde_json::json!({
            "rem_total": self.adder.rem_total_tokens(&self.batch) + self.extra,
            "cur_rem": self.adder.cur_rem_tokens(&self.batch) as f64 + self.extra,
            "rem_input": self.adder.rem_input_tokens(),
            "rem_chunk": self.adder.rem_chunk_tokens(),
        })
    }

    fn note(&mut self, slot: Slot, result: &str, before: usize) {
        let rid = self.name(slot).to_owned();
        let step = match self.batch.extend_batch().get(before) {
            Some(slice) => serde_json::json!({
                "rid": rid, "result": result, "admitted": true, "prefix": slice.prefix,
                "extend": slice.extend, "chunked": !slice.last,
            }),
            None => {
                let prefix = self.batch.match_prefix(slot).tokens;
                serde_json::json!({
                    "rid": rid, "result": result, "admitted": false, "prefix": prefix,
                })
            }
        };
        self.steps.push(step);
    }

    fn run(&mut self, rows: Option<u64>) {
        if let Some(slot) = self.batch.chunked_req() {
            self.adder.add_chunked_req(&mut self.batch, slot).expect("a chunk fits");
            self.note(slot, "chunk", 0);
        }
        let queue: Vec<Slot> = self.batch.waiting_queue().collect();
        for slot in queue {
            let before = self.batch.extend_batch().len();
            let full = rows.is_some_and(|rows| before as u64 >= rows);
            if full || self.adder.budget_state(&self.batch) == AddReqResult::Other {
                break;
            }
            let result = self.adder.add_one_req(&mut self.batch, slot).expect("it can be tried");
            let verdict = match result {
                AddReqResult::Continue => "CONTINUE",
                AddReqResult::NoToken => "NO_TOKEN",
                AddReqResult::Other => "OTHER",
            };
            self.note(slot, verdict, before);
            if result != AddReqResult::Continue {
                break;
            }
        }
    }
}

/// Numbers compare as numbers: the recorded ones are sometimes whole and sometimes not.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a float"), b.as_f64().expect("a float"));
            (a - b).abs() < 1e-6
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}

/// What `PrefillAdder` answers to a scenario.
fn answer(scenario: &Scenario<'_>, theirs: &Value) -> Value {
    let (mut batch, names) = scenario.rank();
    let mut policy = policy_of(scenario, theirs, &names);
    seed::sort(&mut batch, policy.as_mut());
    let order: Vec<&str> =
        batch.waiting_queue().map(|slot| names[batch.id(slot).index()].as_str()).collect();
    let adder = PrefillAdder::new(&batch, scenario.ratio());
    let capacity = batch.memory().capacity();
    let extra = (scenario.number("capacity", 0) - capacity) as f64;
    let mut walk = Walk { batch, adder, names: &names, steps: Vec::new(), extra };
    let before = walk.budgets();
    walk.run(scenario.rows());
    let admitted = walk.batch.extend_batch().iter().map(|slice| walk.name(slice.slot));
    let batch: Vec<&str> = admitted.collect();
    serde_json::json!({
        "order": order,
        "budgets_before": before,
        "steps": walk.steps,
        "batch": batch,
        "next_chunked": walk.batch.chunked_req().map(|slot| walk.name(slot)),
        "preempted": [],
        "budgets_after": walk.budgets(),
    })
}

/// What the whole scheduler forms of a scenario: the admitted requests and their slices.
fn formed(scenario: &Scenario<'_>, theirs: &Value) -> Vec<(String, TokenCount)> {
    let (mut batch, names) = scenario.rank();
    let policy = policy_of(scenario, theirs, &names);
    let mut scheduler = seed::scheduler(&scenario.config(), policy, scenario.ratio());
    let mode = scheduler.next_step(&mut batch, SimTime::ZERO).expect("it decides");
    if mode == ForwardMode::Decode {
        return Vec::new();
    }
    let slices = batch.extend_batch().iter();
    slices.map(|slice| (names[batch.id(slice.slot).index()].clone(), slice.extend)).collect()
}

#[test]
fn admission_is_what_sglang_recorded() {
    let (Some(scenarios), Some(answers)) =
        (lines("admission.jsonl"), lines("admission.expected.jsonl"))
    else {
        println!("skipped: SGLSIM_DATA is not set");
        return;
    };
    assert_eq!(scenarios.len(), answers.len());
    let (mut covered, mut given, mut skipped, mut wrong) = (0, Vec::new(), Vec::new(), Vec::new());
    for (number, (scenario, theirs)) in scenarios.iter().zip(&answers).enumerate() {
        let scenario = Scenario(scenario);
        if let Some(why) = scenario.not_covered() {
            skipped.push(format!("{number}: {why}"));
            continue;
        }
        covered += 1;
        if policy(scenario.policy_name()).is_none() {
            given.push(format!("{number}: {}", scenario.policy_name()));
        }
        let ours = answer(&scenario, theirs);
        if !same(&ours, theirs) {
            wrong.push(format!("scenario {number}\n  ours   {ours}\n  theirs {theirs}"));
        }
        let ours = formed(&scenario, theirs);
        let steps = theirs["steps"].as_array().expect("a list").iter();
        let theirs: Vec<_> = steps
            .filter(|step| step["admitted"] == true)
            .map(|step| {
                let extend = step["extend"].as_u64().expect("a number");
                (step["rid"].as_str().expect("a name").to_owned(), extend)
            })
            .collect();
        if ours != theirs {
            wrong.push(format!("scenario {number}, scheduler\n  {ours:?}\n  {theirs:?}"));
        }
    }
    println!("{covered} scenarios compared");
    println!("of these {} in a queue order that was recorded: {given:?}", given.len());
    println!("{} not covered: {skipped:?}", skipped.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
