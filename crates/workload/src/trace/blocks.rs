//! JSON-lines traces whose prompts are lists of hashed blocks (Mooncake, Qwen).

use super::json::JsonLine;
use super::labels::LabelReader;
use super::lines::Lines;
use super::table::Rows;
use crate::error::{TraceError, TraceErrorKind};

/// How the lines are to be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// Tokens per block.
    pub(crate) block_size: u32,
    /// Timestamps per second.
    pub(crate) ticks_per_second: f64,
}

impl Blocks {
    /// Reads the first line and all that follow.
    pub(crate) fn read(self, first: &str, lines: &mut Lines) -> Result<Rows, TraceError> {
        let mut rows = Rows::default();
        let (mut start, mut labels) = (None, LabelReader::default());
        self.row(first, &mut start, &mut labels, &mut rows).map_err(|kind| lines.error(kind))?;
        while let Some(line) = lines.next()? {
            let pushed = self.row(line, &mut start, &mut labels, &mut rows);
            pushed.map_err(|kind| lines.error(kind))?;
        }
        Ok(rows)
    }

    fn row(
        self,
        line: &str,
        start: &mut Option<f64>,
        labels: &mut LabelReader,
        rows: &mut Rows,
    ) -> Result<(), TraceErrorKind> {
        let line = JsonLine::parse(line)?;
        let (at, written) = line.number("timestamp")?;
        let (input_length, output_len) =
            (line.tokens("input_length")?, line.tokens("output_length")?);
        let spans = line.blocks(input_length, self.block_size)?;
        let arrival = (at - *start.get_or_insert(at)) / self.ticks_per_second;
        rows.push(("timestamp", &written), arrival, output_len, spans)?;
        rows.label(line.labels(labels)?);
        Ok(())
    }
}
