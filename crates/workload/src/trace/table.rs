//! The rows of a trace, held compactly.

use sglsim_radix::Span;
use sglsim_units::Labels;

use crate::content::fresh_content;
use crate::error::{TraceErrorKind, shortened};

/// Requests of a trace; the spans of all prompts lie in one vector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    spans: Vec<Span>,
    /// By row; empty if no row has any.
    labels: Vec<Labels>,
    /// By row, what a turn follows; empty if none does.
    turns: Vec<Option<Turn>>,
}

/// A later turn of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The row that it continues.
    pub(crate) after: u32,
    /// Time from the end of that one to its arrival \[s\].
    pub(crate) delay: f64,
}

/// One request: 24 bytes and 16 per span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Seconds after the first request.
    pub(crate) arrival: f64,
    /// End of its spans; they begin where those of the row before end.
    end: usize,
    pub(crate) output_len: u32,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Row, &[Span])> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    pub(crate) fn get(&self, index: usize) -> Option<(Row, &[Span])> {
        let row = *self.rows.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.rows[before].end);
        Some((row, &self.spans[start..row.end]))
    }

    /// Appends a request with the given spans.
    ///
    /// `written` is the arrival as the file writes it, for the message if time goes back: the rows
    /// of a trace are in order of time, or something is wrong with it.
    pub(crate) fn push(
        &mut self,
        (time_field, written): (&'static str, &str),
        arrival: f64,
        output_len: u32,
        spans: impl IntoIterator<Item = Span>,
    ) -> Result<(), TraceErrorKind> {
        let before = self.rows.last().map_or(0.0, |row| row.arrival);
        self.push_after(before, (time_field, written), arrival, output_len, spans)
    }

    /// [`Rows::push`] behind an arrival that is not that of the last row.
    pub(crate) fn push_after(
        &mut self,
        before: f64,
        (time_field, written): (&'static str, &str),
        arrival: f64,
        output_len: u32,
        spans: impl IntoIterator<Item = Span>,
    ) -> Result<(), TraceErrorKind> {
        if !(arrival >= before && arrival.is_finite()) {
            return Err(TraceErrorKind::Value {
                field: time_field,
                value: shortened(written),
                allowed: format!(
                    "not earlier than the line before, {before} s after the first request"
                ),
            });
        }
        self.append(arrival, output_len, spans);
        Ok(())
    }

    /// Appends a request whose arrival is known to be in order.
    pub(crate) fn append(
        &mut self,
        arrival: f64,
        output_len: u32,
        spans: impl IntoIterator<Item = Span>,
    ) {
        self.spans.extend(spans);
        self.rows.push(Row { arrival, end: self.spans.len(), output_len });
    }

    /// Appends a request whose prompt nobody else has.
    pub(crate) fn push_unique(
        &mut self,
        time: (&'static str, &str),
        arrival: f64,
        input_len: u32,
        output_len: u32,
    ) -> Result<(), TraceErrorKind> {
        let span = Span::new(fresh_content(self.rows.len() as u64), input_len);
        self.push(time, arrival, output_len, [span])
    }

    /// Appends a later turn of a conversation, `delay` \[s\] after the end of the row `after`. Its
    /// arrival is that of an instant answer.
    pub(crate) fn append_turn(
        &mut self,
        after: u32,
        delay: f64,
        output_len: u32,
        spans: impl IntoIterator<Item = Span>,
    ) {
        self.turns.resize(self.rows.len(), None);
        self.turns.push(Some(Turn { after, delay }));
        let arrival = self.rows[after as usize].arrival + delay;
        self.append(arrival, output_len, spans);
    }

    /// What a row follows, if it is a later turn of a conversation.
    pub(crate) fn turn(&self, index: usize) -> Option<Turn> {
        self.turns.get(index).copied().flatten()
    }

    /// Gives the last row its labels.
    pub(crate) fn label(&mut self, labels: Labels) {
        if labels != Labels::default() || !self.labels.is_empty() {
            self.labels.resize(self.rows.len() - 1, Labels::default());
            self.labels.push(labels);
        }
    }

    pub(crate) fn labels(&self, index: usize) -> Labels {
        self.labels.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.spans.shrink_to_fit();
    }
}

/// A number of tokens, at least 1, or the error that shows it as it was `written`.
pub(crate) fn length(
    field: &'static str,
    value: Option<u64>,
    written: impl std::fmt::Display,
) -> Result<u32, TraceErrorKind> {
    match value.map(u32::try_from) {
        Some(Ok(length @ 1..)) => Ok(length),
        _ => Err(TraceErrorKind::Value {
            field,
            value: shortened(&written.to_string()),
            allowed: format!("a whole number from 1 to {}", u32::MAX),
        }),
    }
}
