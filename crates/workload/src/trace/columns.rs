//! CSV traces: three columns of a header, found by name, and labels if there are columns of them.
//!
//! A cell may stand in double quotes but holds neither a comma nor a line break.

use super::clock::wall_clock;
use super::labels::{self, LabelReader};
use super::lines::Lines;
use super::table::{Rows, length};
use crate::error::{TraceError, TraceErrorKind, shortened};
use sglsim_units::nearest;

/// The columns of one CSV format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    time: &'static str,
    clock: Clock,
    input: &'static str,
    output: &'static str,
}

/// How a column says when.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// A number of seconds.
    Seconds,
    /// Date and time of day.
    Wall,
}

pub(crate) const AZURE: Columns = Columns {
    time: "TIMESTAMP",
    clock: Clock::Wall,
    input: "ContextTokens",
    output: "GeneratedTokens",
};
pub(crate) const BURST_GPT: Columns = Columns {
    time: "Timestamp",
    clock: Clock::Seconds,
    input: "Request tokens",
    output: "Response tokens",
};
pub(crate) const PLAIN: Columns = Columns {
    time: "arrival_s",
    clock: Clock::Seconds,
    input: "input_length",
    output: "output_length",
};

impl Columns {
    /// Names of the columns that are read.
    pub(crate) fn names(&self) -> [&'static str; 3] {
        [self.time, self.input, self.output]
    }

    /// How many of the columns `header` has.
    pub(crate) fn matches(&self, header: &str) -> usize {
        self.names().into_iter().filter(|name| cells(header).any(|cell| cell == *name)).count()
    }

    /// Reads the lines after the header `header`.
    pub(crate) fn read(&self, header: &str, lines: &mut Lines) -> Result<Rows, TraceError> {
        let present: Vec<String> = cells(header).map(str::to_owned).collect();
        let position = |field: &'static str| {
            present.iter().position(|name| name == field).ok_or_else(|| {
                let misspelling =
                    nearest(field, present.iter().map(String::as_str)).map(str::to_owned);
                lines.error(TraceErrorKind::Missing {
                    field,
                    misspelling,
                    present: present.clone(),
                })
            })
        };
        let (time, input, output) =
            (position(self.time)?, position(self.input)?, position(self.output)?);

        let labelled =
            labels::FIELDS.map(|field| (field, present.iter().position(|name| name == field)));
        let mut labels = LabelReader::default();

        let mut rows = Rows::default();
        let mut start = None;
        while let Some(line) = lines.next()? {
            let found = cells(line).count();
            let cell = |position| cells(line).nth(position).unwrap_or_default();
            let row = || {
                if found != present.len() {
                    return Err(TraceErrorKind::Cells { found, expected: present.len() });
                }
                let at = self.instant(cell(time))?;
                let input = length(self.input, cell(input).parse().ok(), cell(input))?;
                let output = length(self.output, cell(output).parse().ok(), cell(output))?;
                Ok((at, input, output))
            };
            let pushed = row().and_then(|(at, input, output)| {
                let first = *start.get_or_insert(at);
                rows.push_unique((self.time, cell(time)), at.since(first), input, output)?;
                rows.label(labels.read(|field| {
                    let column = labelled.iter().find(|(known, _)| *known == field);
                    let text = column.and_then(|(_, column)| *column).map(cell);
                    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
                })?);
                Ok(())
            });
            pushed.map_err(|kind| lines.error(kind))?;
        }
        Ok(rows)
    }

    fn instant(&self, cell: &str) -> Result<Instant, TraceErrorKind> {
        let refused = |allowed: &str| TraceErrorKind::Value {
            field: self.time,
            value: format!("`{}`", shortened(cell)),
            allowed: allowed.to_owned(),
        };
        match self.clock {
            Clock::Seconds => match cell.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() => Ok(Instant::Seconds(seconds)),
                _ => Err(refused("a finite number of seconds")),
            },
            Clock::Wall => wall_clock(cell).map(Instant::Nanoseconds).ok_or_else(|| {
                refused("a date and time such as 2023-11-16 18:17:03.9799600, from 1970 to 2261")
            }),
        }
    }
}

/// An instant on the clock of the file.
#[derive(Clone, Copy, Debug)]
enum Instant {
    Seconds(f64),
    Nanoseconds(i64),
}

impl Instant {
    /// Seconds after `first`, exact to the last digit of a wall clock.
    fn since(self, first: Self) -> f64 {
        match (self, first) {
            (Self::Seconds(at), Self::Seconds(first)) => at - first,
            (Self::Nanoseconds(at), Self::Nanoseconds(first)) => (at - first) as f64 / 1e9,
            _ => unreachable!("one file has one clock"),
        }
    }
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|cell| {
        let cell = cell.trim();
        cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
    })
}
