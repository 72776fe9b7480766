//! The conformance suite finds broken workloads, each by the law that it breaks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_radix::{Prompt, Span};
use sglsim_units::{Labels, RequestId, SimTime};
use sglsim_workload::{Finished, Request, Workload, testing};

/// Three requests, one second apart, with one thing wrong.
#[derive(Debug)]
struct Broken {
    wrong: &'static str,
    next: u32,
    finished: u32,
}

impl Workload for Broken {
    fn name(&self) -> &str {
        self.wrong
    }

    fn total(&self) -> Option<u64> {
        Some(if self.wrong == "total" { 4 } else { 3 })
    }

    fn peek(&self) -> Option<SimTime> {
        let seconds = match self.wrong {
            "backwards" => 10 - self.next,
            "released early" if self.finished > 0 => 0,
            _ => self.next,
        };
        (self.next < 3).then(|| SimTime::new(f64::from(seconds)).unwrap())
    }

    fn pop(&mut self) -> Option<Request> {
        let arrival = match self.wrong {
            "another time" => SimTime::new(99.0).ok()?,
            "endless" => self.peek().unwrap_or_default(),
            _ => self.peek()?,
        };
        let request = Request {
            id: RequestId(if self.wrong == "ids" { 7 } else { self.next }),
            arrival,
            prompt: Prompt::new(vec![Span::new(1, u32::from(self.wrong != "prompt"))]),
            output_len: u32::from(self.wrong != "output"),
            max_new_tokens: u32::from(self.wrong != "limit"),
            ignore_eos: true,
            labels: Labels::default(),
        };
        self.next += 1;
        Some(request)
    }

    fn on_finished(&mut self, _done: &Finished) {
        self.finished += 1;
    }
}

/// The law by which the suite refuses this workload, `None` if it finds nothing.
fn verdict(wrong: &'static str) -> Option<String> {
    let suite = || testing::conformance(|| Box::new(Broken { wrong, next: 0, finished: 0 }));
    let panic = catch_unwind(AssertUnwindSafe(suite)).err()?;
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))?;
    // `assert_eq` puts its own words before ours.
    let law = message.find("law ")?;
    Some(message[law..law + 5].to_owned())
}

#[test]
fn each_law_is_checked() {
    assert_eq!(verdict("nothing"), None);
    for (wrong, law) in [
        ("another time", "law 1"),
        ("endless", "law 1"),
        ("backwards", "law 2"),
        ("released early", "law 2"),
        ("ids", "law 3"),
        ("prompt", "law 4"),
        ("output", "law 4"),
        ("limit", "law 4"),
        ("total", "law 5"),
    ] {
        assert_eq!(verdict(wrong).as_deref(), Some(law), "{wrong}");
    }
}
