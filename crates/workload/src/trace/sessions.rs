//! JSON-lines traces of conversations: each turn follows the end of an earlier one.

use sglsim_radix::Span;
use sglsim_units::HashMap;

use super::json::{JsonLine, refused};
use super::labels::LabelReader;
use super::lines::Lines;
use super::table::Rows;
use crate::content::fresh_content;
use crate::error::{TraceError, TraceErrorKind, shortened};

/// Timestamps and delays are in ms.
const TICKS_PER_SECOND: f64 = 1e3;

/// How the lines are to be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLines {
    /// Tokens per block of `hash_ids`.
    pub(crate) block_size: u32,
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Reading {
    rows: Rows,
    start: Option<f64>,
    /// Arrival of the last first turn \[s\].
    last: f64,
    labels: LabelReader,
    /// Rows of the turns of a session, by their numbers.
    sessions: HashMap<String, Vec<(u64, u32)>>,
}

impl SessionLines {
    /// Reads the first line and all that follow.
    pub(crate) fn read(self, first: &str, lines: &mut Lines) -> Result<Rows, TraceError> {
        let mut reading = Reading::default();
        self.row(first, &mut reading).map_err(|kind| lines.error(kind))?;
        while let Some(line) = lines.next()? {
            let read = self.row(line, &mut reading);
            read.map_err(|kind| lines.error(kind))?;
        }
        Ok(reading.rows)
    }

    fn row(self, line: &str, reading: &mut Reading) -> Result<(), TraceErrorKind> {
        let line = JsonLine::parse(line)?;
        let Reading { rows, start, last, labels, sessions } = reading;
        line.field("session_id")?;
        let session = line.text("session_id")?.unwrap_or_default();
        let turns = sessions.entry(session.clone()).or_default();
        let number = match whole(&line, "turn")? {
            Some(turn) => turn,
            None => turns.iter().map(|(turn, _)| turn + 1).max().unwrap_or(0),
        };
        if turns.iter().any(|(turn, _)| *turn == number) {
            let value = format!("{number} of session {}", shortened(&session));
            return Err(TraceErrorKind::Repeated { field: "turn", value });
        }
        let parent = match whole(&line, "parent")? {
            Some(parent) => Some(parent),
            None => number.checked_sub(1),
        };
        let row = u32::try_from(rows.len()).expect("a trace has fewer than 2^32 requests");
        let (input_length, output_len) =
            (line.tokens("input_length")?, line.tokens("output_length")?);
        let spans = match line.find("hash_ids") {
            Some(_) => line.blocks(input_length, self.block_size)?,
            None => vec![Span::new(fresh_content(u64::from(row)), input_length)],
        };
        match parent {
            None => {
                let (at, written) = line.number("timestamp")?;
                let arrival = (at - *start.get_or_insert(at)) / TICKS_PER_SECOND;
                rows.push_after(*last, ("timestamp", &written), arrival, output_len, spans)?;
                *last = arrival;
            }
            Some(parent) => {
                let before = turns.iter().find(|(turn, _)| *turn == parent);
                let (_, before) = *before.ok_or_else(|| TraceErrorKind::MissingTurn {
                    session: shortened(&session),
                    turn: number,
                    parent,
                    known: turns.iter().map(|(turn, _)| *turn).collect(),
                })?;
                let (delay, _) = line.number("delay")?;
                if delay < 0.0 {
                    let written = line.field("delay")?;
                    return Err(refused("delay", written, "a number of ms, not negative"));
                }
                rows.append_turn(before, delay / TICKS_PER_SECOND, output_len, spans);
            }
        }
        turns.push((number, row));
        rows.label(line.labels(labels)?);
        Ok(())
    }
}

/// A whole number, if it is there.
fn whole(line: &JsonLine, field: &'static str) -> Result<Option<u64>, TraceErrorKind> {
    let Some(value) = line.find(field) else { return Ok(None) };
    let number = value.as_u64().filter(|number| *number <= u64::from(u32::MAX));
    number.map(Some).ok_or_else(|| refused(field, value, "a whole number, from 0"))
}
