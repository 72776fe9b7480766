//! Runs that somebody else recorded: their data, and their requests as a workload.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ron::extensions::Extensions;
use sglsim_engine::{Labels, Prompt, Request, RequestId, Scenario, SimTime, Span, Workload};
use sglsim_model::ModelShape;

/// A file below the folder that `SGLSIM_DATA` names, or nothing, said aloud, if it is not set.
pub(crate) fn data(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("SGLSIM_DATA") else {
        println!("skipped: SGLSIM_DATA is not set");
        return None;
    };
    Some(Path::new(&folder).join(path))
}

/// The text of a gzipped file.
pub(crate) fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// One request: arrival \[s\], prompt, tokens to generate.
pub(crate) type Row = (f64, Prompt, u32);

/// A prompt that no other request shares anything with.
pub(crate) fn fresh(id: usize, tokens: u64) -> Prompt {
    Prompt::new(vec![Span::new(id as u64, u32::try_from(tokens).unwrap())])
}

/// Requests in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Recorded(VecDeque<Request>);

impl Recorded {
    pub(crate) fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let request = |(at, (arrival, prompt, output_len)): (usize, Row)| Request {
            id: RequestId(at as u32),
            arrival: SimTime::new(arrival).unwrap(),
            prompt,
            output_len,
            max_new_tokens: output_len,
            ignore_eos: true,
            labels: Labels::default(),
        };
        Self(rows.into_iter().enumerate().map(request).collect())
    }
}

impl Workload for Recorded {
    fn name(&self) -> &str {
        "recorded"
    }

    fn total(&self) -> Option<u64> {
        None
    }

    fn peek(&self) -> Option<SimTime> {
        self.0.front().map(|request| request.arrival)
    }

    fn pop(&mut self) -> Option<Request> {
        self.0.pop_front()
    }
}

/// A scenario with its model changed: written into `folder`, which its paths are relative to.
pub(crate) fn with_model(
    scenario: &str,
    folder: &Path,
    model: &str,
    change: impl FnOnce(&mut ModelShape),
) -> Scenario {
    let mut shape = ModelShape::preset(model).unwrap();
    change(&mut shape);
    let options = ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES);
    std::fs::write(folder.join("model.ron"), options.to_string(&shape).unwrap()).unwrap();
    let mut scenario = Scenario::from_ron(scenario).unwrap();
    scenario.model = "model.ron".to_owned();
    scenario
}

/// Relative error in per cent.
pub(crate) fn error(predicted: f64, measured: f64) -> f64 {
    (predicted / measured - 1.0) * 100.0
}
