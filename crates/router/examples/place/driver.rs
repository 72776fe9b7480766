//! Operations on a router before workers that answer when they are told to, as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sglsim_radix::{Prompt, Span};
use sglsim_router::{
    Outcome, PdPair, PdResponse, PdRouter, PolicyConfig, Pool, Response, RetryConfig, RouteError,
    RoutePolicy, RouteRequest, Router, RoutingKey,
};
use sglsim_units::{Nearest, RngStreams, Seconds, SimTime, WorkerId};

use super::settings::Settings;

/// Makes the policy of a pool, which is 0, or 1 for the decode workers.
pub(crate) type MakePolicy<'a> =
    dyn Fn(PolicyConfig, RngStreams, usize) -> Result<Box<dyn RoutePolicy>, RouteError> + 'a;

/// A router and the requests in flight before it.
pub(crate) struct Driver {
    settings: Settings,
    routing: Routing,
    /// Requests whose end has not been asked for; `None` if no worker could be found.
    requests: BTreeMap<String, Option<Flight>>,
    now: SimTime,
    pauses: rand_pcg::Pcg64Mcg,
}

enum Routing {
    One(Router),
    Pair(PdRouter),
}

/// What is answered beside the operation and the id.
type Answer = Vec<(&'static str, Value)>;

/// Who has a request.
#[derive(Clone, Copy)]
enum Placed {
    One(WorkerId),
    Pair(PdPair),
}

/// A request whose response has not ended.
struct Flight {
    prompt: Prompt,
    routing_key: Option<RoutingKey>,
    target: Option<usize>,
    placed: Placed,
    attempt: u32,
}

/// The fields that operations have; which one needs which is said where it is used.
#[derive(Deserialize)]
struct Operation {
    op: String,
    id: Option<String>,
    text: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Map<String, Value>,
    status: Option<u16>,
    s: Option<f64>,
    #[serde(default)]
    args: Map<String, Value>,
    workers: Option<u32>,
    prefill: Option<u32>,
    decode: Option<u32>,
    dp_size: Option<u32>,
    /// Every path is routed alike.
    #[serde(rename = "path")]
    _path: Option<String>,
}

const OPERATIONS: [&str; 7] = ["send", "done", "fail", "abort", "sleep", "calls", "start"];

/// Statuses that the router itself answers with.
const UNAVAILABLE: u16 = 503;

impl Driver {
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        Self::with_policies(settings, &[], &|config, streams, _| config.build(streams))
    }

    /// A driver whose pools list their workers in these orders, if any are given.
    pub(crate) fn with_policies(
        settings: &Settings,
        orders: &[Vec<u32>],
        make: &MakePolicy<'_>,
    ) -> Result<Self, String> {
        let streams = RngStreams::new(settings.seed);
        let pools = settings.pools();
        let is_pair = pools.len() == 2;
        let mut routers = Vec::new();
        for (at, (workers, config)) in pools.into_iter().enumerate() {
            let policy = make(config, streams.child(at as u64), at);
            let policy = policy.map_err(|error| error.to_string())?;
            let order = orders.get(at).cloned().unwrap_or_else(|| (0..workers).collect());
            let router = Router::new(policy, order.into_iter().map(WorkerId));
            let router = router.with_circuit_breakers(settings.breakers);
            let is_counted = config.is_load_counted(is_pair);
            routers.push(if is_counted { router } else { router.without_load() });
        }
        let decode = is_pair.then(|| routers.pop().expect("a pair of pools has two"));
        let first = routers.pop().expect("there is a pool");
        let routing = match decode {
            Some(decode) => Routing::Pair(PdRouter::new(first, decode)),
            None => Routing::One(first),
        };
        let pauses = streams.stream("router/retry");
        let (settings, now) = (settings.clone(), SimTime::ZERO);
        Ok(Self { settings, routing, requests: BTreeMap::new(), now, pauses })
    }

    /// Does what one line says and answers with one line.
    pub(crate) fn run(&mut self, line: &str) -> Result<String, String> {
        let operation = read(line)?;
        let answer = self.operate(&operation)?;
        let op = ("op", Value::from(operation.op));
        let id = operation.id.map(|id| ("id", Value::from(id)));
        let fields = std::iter::once(op).chain(id).chain(answer);
        let fields: Vec<String> =
            fields.map(|(name, value)| format!("\"{name}\": {value}")).collect();
        Ok(format!("{{{}}}", fields.join(", ")))
    }

    fn operate(&mut self, o: &Operation) -> Result<Answer, String> {
        match o.op.as_str() {
            "send" => self.send(o),
            "done" => {
                let Some(flight) = self.take(o)? else { return Ok(status(UNAVAILABLE)) };
                self.end(&flight, Outcome::Success);
                Ok(status(200))
            }
            "fail" => self.fail(o),
            "abort" => {
                if let Some(flight) = self.take(o)? {
                    self.end(&flight, Outcome::Abandoned);
                }
                Ok(Answer::new())
            }
            "sleep" => {
                let seconds = o.s.ok_or("`s` is missing")?;
                let pause = Seconds::new(seconds);
                self.now += pause.map_err(|_| format!("`s` is {seconds}, allowed is 0 or more"))?;
                if self.now.seconds() >= self.settings.polls.get() {
                    self.polled();
                }
                Ok(Answer::new())
            }
            // What the real router asks its workers for beside requests; nothing is asked here.
            "calls" => Ok(vec![("calls", json!({}))]),
            "start" => {
                *self = Self::new(&self.settings.with(&start(o))?)?;
                Ok(Answer::new())
            }
            other => {
                let hint = Nearest::to(other, OPERATIONS);
                Err(format!("`op` is `{other}`, known are {}{hint}", OPERATIONS.join(", ")))
            }
        }
    }

    fn send(&mut self, o: &Operation) -> Result<Answer, String> {
        let id = id(o)?;
        if self.requests.contains_key(id) {
            return Err(format!("`id`: there is a request `{id}` already"));
        }
        let header = |name: &str| {
            let is_it = |(header, _): &(&String, &String)| header.eq_ignore_ascii_case(name);
            o.headers.iter().find(is_it).map(|(_, value)| value.as_str())
        };
        let target = header("X-SMG-Target-Worker").map(|text| {
            // Not a number is a worker that is not there.
            text.parse().unwrap_or(usize::MAX)
        });
        let routing_key = header("X-SMG-Routing-Key").map(RoutingKey::of);
        let prompt = prompt(o)?;
        let mut attempt = 1;
        loop {
            if let Some(placed) = self.place(&prompt, routing_key, target) {
                let answer = places(placed);
                let flight = Flight { prompt, routing_key, target, placed, attempt };
                self.requests.insert(id.to_owned(), Some(flight));
                return Ok(answer);
            }
            if attempt >= self.settings.retry.attempts() {
                self.requests.insert(id.to_owned(), None);
                return Ok(status(UNAVAILABLE));
            }
            self.pause(attempt);
            attempt += 1;
        }
    }

    /// The worker fails, and so does every one that the router tries after it.
    fn fail(&mut self, o: &Operation) -> Result<Answer, String> {
        let Some(mut flight) = self.take(o)? else { return Ok(status(UNAVAILABLE)) };
        let mut code = o.status.unwrap_or(500);
        let mut retried = Vec::new();
        self.end(&flight, Outcome::Failure);
        while RetryConfig::is_retryable(code) && flight.attempt < self.settings.retry.attempts() {
            self.pause(flight.attempt);
            flight.attempt += 1;
            match self.place(&flight.prompt, flight.routing_key, flight.target) {
                Some(placed) => {
                    flight.placed = placed;
                    retried.extend(names(placed).map(|(role, at)| format!("{role}{at}")));
                    code = o.status.unwrap_or(500);
                    self.end(&flight, Outcome::Failure);
                }
                None => code = UNAVAILABLE,
            }
        }
        let mut answer = status(code);
        if !retried.is_empty() {
            answer.push(("retried_on", retried.into()));
        }
        Ok(answer)
    }

    /// The router has asked every worker for its load. None knows the question, and all count as
    /// equally loaded.
    fn polled(&mut self) {
        let everybody = |router: &mut Router| {
            let ids: Vec<WorkerId> = router.in_flight().map(|(id, _)| id).collect();
            for id in ids {
                router.set_polled_tokens(id, Some(0)).expect("no worker leaves");
            }
        };
        match &mut self.routing {
            Routing::One(router) => everybody(router),
            Routing::Pair(pair) => {
                everybody(pair.pool_mut(Pool::Prefill));
                everybody(pair.pool_mut(Pool::Decode));
            }
        }
    }

    fn pause(&mut self, attempt: u32) {
        self.now += self.settings.retry.pause(attempt, &mut self.pauses);
    }

    fn place(
        &mut self,
        prompt: &Prompt,
        routing_key: Option<RoutingKey>,
        target: Option<usize>,
    ) -> Option<Placed> {
        let request = RouteRequest::new(prompt, self.now);
        let request = request.with_routing_key(routing_key).with_target(target);
        match &mut self.routing {
            Routing::One(router) => router.route(&request).ok().map(Placed::One),
            Routing::Pair(router) => router.route(&request).ok().map(Placed::Pair),
        }
    }

    fn end(&mut self, flight: &Flight, outcome: Outcome) {
        let (routing_key, at) = (flight.routing_key, self.now);
        let ended = match (&mut self.routing, flight.placed) {
            (Routing::One(router), Placed::One(worker)) => {
                router.finished(&Response { worker, routing_key, outcome, at })
            }
            (Routing::Pair(router), Placed::Pair(pair)) => {
                let (prefill, decode) = (outcome, outcome);
                router.finished(&PdResponse { pair, routing_key, prefill, decode, at })
            }
            _ => unreachable!("a request is placed by the router there is"),
        };
        ended.expect("no worker leaves");
    }

    fn take(&mut self, o: &Operation) -> Result<Option<Flight>, String> {
        let id = id(o)?;
        self.requests.remove(id).ok_or_else(|| {
            let known = Nearest::to(id, self.requests.keys().map(String::as_str));
            format!("`id`: there is no request `{id}`{known}")
        })
    }
}

/// Reads one line; what is wrong is named by field and column.
fn read(line: &str) -> Result<Operation, String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read: Operation = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (field, inner) = (error.path().to_string(), error.inner());
        let place = format!(" at line {} column {}", inner.line(), inner.column());
        let message = inner.to_string().replace(&place, "");
        match field.as_str() {
            "." | "?" => format!("column {}: {message}", inner.column()),
            field => format!("`{field}`, column {}: {message}", inner.column()),
        }
    })?;
    json.end().map_err(|_| "one JSON object a line is allowed, here is more".to_owned())?;
    Ok(read)
}

/// The settings that a line starts a router with, if it starts one.
pub(crate) fn started(line: &str, settings: &Settings) -> Result<Option<Settings>, String> {
    let operation = read(line)?;
    if operation.op != "start" {
        return Ok(None);
    }
    settings.with(&start(&operation)).map(Some)
}

fn start(o: &Operation) -> Map<String, Value> {
    let mut fields = o.args.clone();
    let counts = [
        ("workers", o.workers),
        ("prefill", o.prefill),
        ("decode", o.decode),
        ("dp_size", o.dp_size),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            fields.insert(name.into(), count.into());
        }
    }
    fields
}

fn id(o: &Operation) -> Result<&str, String> {
    o.id.as_deref().ok_or_else(|| "`id` is missing".into())
}

/// The characters that the router matches.
fn prompt(o: &Operation) -> Result<Prompt, String> {
    let characters = |text: &str| text.chars().map(|c| Span::new(u64::from(c), 1)).collect();
    let Some(ids) = o.body.get("input_ids") else {
        return Ok(Prompt::new(characters(o.text.as_deref().unwrap_or(""))));
    };
    let ids: Vec<u64> = serde_json::from_value(ids.clone())
        .map_err(|error| format!("`body.input_ids`: {error}"))?;
    let decimal: Vec<String> = ids.iter().map(u64::to_string).collect();
    Ok(Prompt::new(characters(&decimal.join(" "))))
}

fn status(code: u16) -> Answer {
    vec![("status", code.into())]
}

fn names(placed: Placed) -> impl Iterator<Item = (&'static str, u32)> {
    let (first, second) = match placed {
        Placed::One(worker) => (("worker", worker.0), None),
        Placed::Pair(pair) => (("prefill", pair.prefill.0), Some(("decode", pair.decode.0))),
    };
    std::iter::once(first).chain(second)
}

fn places(placed: Placed) -> Answer {
    names(placed).map(|(role, at)| (role, at.into())).collect()
}
