//! `sglsim request`.

use sglsim_engine::{
    Choice, Keep, Life, Moment, Report, RequestId, RequestRecord, Seconds, SimTime, Simulation,
    Timeline,
};

use crate::failure::Failure;
use crate::number::{count, counted, fixed, percent};
use crate::output;
use crate::scenario::ScenarioArguments;
use crate::table::{table, text};

/// Arguments of `request`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// The number of the request, from 0 in order of arrival
    #[arg(required_unless_present = "worst")]
    id: Option<u32>,
    /// The request with the longest of this latency instead
    #[arg(long, value_enum, value_name = "LATENCY", conflicts_with = "id")]
    worst: Option<Worst>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Worst {
    /// Time to first token
    Ttft,
    /// Mean time per output token after the first
    Tpot,
    /// Time from arrival to the last token
    E2e,
}

/// There is no such request.
#[derive(Debug, thiserror::Error)]
#[error("there is no request {id}; the run has {}, from 0 to {}", counted(*requests, "request"), requests - 1)]
struct NoRequest {
    id: u32,
    requests: u64,
}

/// No request has the latency.
#[derive(Debug, thiserror::Error)]
#[error("no request of the run has this latency")]
struct NoLatency;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let simulation = arguments.scenario.prepare()?;
    let id = match (arguments.id, arguments.worst) {
        (Some(id), _) => RequestId(id),
        (None, worst) => {
            // The same run twice: the first finds the request, the second watches it.
            let report = arguments.scenario.prepare()?.run()?;
            worst.and_then(|worst| worst.of(&report)).ok_or(NoLatency)?
        }
    };
    output::print(&tell(simulation, id)?)
}

impl Worst {
    fn of(self, report: &Report) -> Option<RequestId> {
        let latency = |record: &RequestRecord| -> Option<Seconds> {
            match self {
                Self::Ttft => record.ttft(),
                Self::Tpot => record.tpot(),
                Self::E2e => record.e2e(),
            }
        };
        let all = report.requests.iter().enumerate();
        let timed = all.filter_map(|(id, record)| Some((latency(record)?, id)));
        // The first of equals.
        let worst = timed.reduce(|a, b| if b.0 > a.0 { b } else { a });
        worst.map(|(_, id)| RequestId::from_index(id))
    }
}

fn tell(simulation: Simulation, id: RequestId) -> Result<String, Failure> {
    let model = simulation.plan().model.name.clone();
    let (report, timeline) = Timeline::record(simulation, Keep::only(id))?;
    let (Some(life), Some(record)) = (timeline.life(id), report.requests.get(id.index())) else {
        let requests = report.requests.len() as u64;
        return Err(NoRequest { id: id.0, requests }.into());
    };
    let mut out = format!(
        "request {} of {} under workload {}, {model}\n{} in, {} out{}\n\n",
        id.0,
        count(report.requests.len() as u64),
        report.workload,
        counted(record.prompt_tokens, "token"),
        count(record.output_tokens),
        latencies(record),
    );
    out += &moments(&timeline, life, record);
    out += &stages(life);
    Ok(out)
}

fn latencies(record: &RequestRecord) -> String {
    let of = |name: &str, latency: Option<Seconds>| {
        latency.map(|latency| format!("; {name} {}", span(latency.get()))).unwrap_or_default()
    };
    of("TTFT", record.ttft()) + &of("TPOT", record.tpot()) + &of("E2E", record.e2e())
}

/// A time as people say it.
fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 100.0 => format!("{} s", fixed(seconds, 0)),
        seconds if seconds >= 1.0 => format!("{} s", fixed(seconds, 2)),
        seconds => format!("{} ms", fixed(seconds * 1e3, 2)),
    }
}

/// What happened, a line each: when, how long after its arrival, what.
fn moments(timeline: &Timeline, life: &Life, record: &RequestRecord) -> String {
    let mut rows = table(&["at [s]", "after [s]", "what happened"], &["what happened"]);
    let mut decode: Option<Choice> = None;
    for (at, moment) in &life.moments {
        if let Moment::Routed { decode: Some(choice), .. } = moment {
            decode = Some(*choice);
        }
        let lines = words(timeline, moment, *at, decode, record);
        let after = at.since(record.arrival).get();
        for line in lines {
            rows.add_row([fixed(at.seconds(), 3), fixed(after, 3), line]);
        }
    }
    text(&rows) + "\n"
}

fn words(
    timeline: &Timeline,
    moment: &Moment,
    at: SimTime,
    decode: Option<Choice>,
    record: &RequestRecord,
) -> Vec<String> {
    let tokens = |tokens: u64| counted(tokens, "token");
    let one = match *moment {
        Moment::Arrived { after: Some(after), .. } => {
            format!("arrives, once request {} has ended", after.0)
        }
        Moment::Arrived { .. } => "arrives".to_owned(),
        Moment::Routed { prefill, decode } => {
            let mut lines = vec![choice(timeline, &prefill)];
            if let Some(decode) = decode {
                lines.push(choice(timeline, &decode));
                lines.push("waits for room there before its prompt may be computed".to_owned());
            }
            return lines;
        }
        Moment::Queued => match decode {
            Some(decode) => format!(
                "has room on {}; joins the prefill queue",
                timeline.worker_name(decode.worker)
            ),
            None => "joins the queue".to_owned(),
        },
        Moment::Admitted { cached, again } => {
            let again = if again { "again " } else { "" };
            let cached = match cached {
                0 => "nothing of its prompt is cached".to_owned(),
                cached => format!("{} of its prompt are cached", tokens(cached)),
            };
            format!("is taken {again}into a prefill batch; {cached}")
        }
        Moment::Extended { tokens: mine, of, began } => {
            let others = match of - mine.min(of) {
                0 => String::new(),
                others => format!(", with {} of others", count(others)),
            };
            let took = span(at.since(began).get());
            format!("{} of its prompt are computed in a step of {took}{others}", tokens(mine))
        }
        Moment::Prefilled => "its prompt is computed".to_owned(),
        Moment::Delivered { tokens: some, sent } => {
            let took = span(at.since(sent).get());
            format!("KV of {} arrives, sent {took} before", tokens(some))
        }
        Moment::Transferred => "all its KV is on the decode worker".to_owned(),
        Moment::Token => "a token from prefill reaches the client".to_owned(),
        Moment::Retracted => "is pushed out of memory".to_owned(),
        Moment::Resumed => "decodes again".to_owned(),
        Moment::Refused => "is refused".to_owned(),
        Moment::Retried { attempts } => {
            format!(
                "{} came to nothing; the router tries again",
                counted(u64::from(attempts), "attempt")
            )
        }
        Moment::Failed { reason } => format!("ends without all its tokens: {}", reason.name()),
        Moment::Finished { generated } => {
            let each = record.tpot().map(|tpot| format!(", {} each", span(tpot.get())));
            format!("the last of {}{}", tokens(generated), each.unwrap_or_default())
        }
        _ => return Vec::new(),
    };
    vec![one]
}

fn choice(timeline: &Timeline, choice: &Choice) -> String {
    let (least, most) = choice.of_pool;
    format!(
        "goes to {}: {} in flight there, {least} to {most} in its pool; its KV memory is {} full",
        timeline.worker_name(choice.worker),
        counted(choice.in_flight, "request"),
        percent(choice.kv_usage),
    )
}

/// How its time is divided.
fn stages(life: &Life) -> String {
    const LONGEST: f64 = 40.0;
    let stages = life.stages();
    let time = |(_, from, to): &(&str, SimTime, SimTime)| to.since(*from).get();
    let total: f64 = stages.iter().map(time).sum();
    let mut rows = table(&["its time", "[s]", "share", ""], &["its time", ""]);
    for stage in &stages {
        let share = time(stage) / total;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of forty"
        )]
        let bar = "█".repeat((share * LONGEST).round() as usize);
        rows.add_row([stage.0.to_owned(), fixed(time(stage), 3), percent(share), bar]);
    }
    text(&rows)
}
