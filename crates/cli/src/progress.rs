//! A progress bar that watches a run.

use indicatif::{ProgressBar, ProgressStyle};
use sglsim_engine::{Event, Observer, SimTime};

/// Counts finished requests on standard error; hidden when that is not a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(requests: Option<u64>) -> Self {
        let bar = match requests {
            Some(requests) => ProgressBar::new(requests),
            None => ProgressBar::no_length(),
        };
        let style = ProgressStyle::with_template(
            "simulating {bar:30} {pos}/{len} requests, {msg} simulated, {elapsed} elapsed",
        )
        .expect("the template is right");
        bar.set_style(style);
        Self { bar }
    }
}

impl Observer for Progress {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        if matches!(event, Event::Finished { .. } | Event::Refused { .. }) {
            self.bar.inc(1);
            if self.bar.position().is_multiple_of(64) {
                self.bar.set_message(format!("{:.0} s", at.seconds()));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that counts whole runs.
pub(crate) fn runs(total: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("simulating {bar:30} {pos}/{len} runs, {elapsed} elapsed");
    ProgressBar::new(total).with_style(style.expect("the template is right"))
}
