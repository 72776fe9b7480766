//! JSON-lines traces whose prompts are lists of hashed blocks (Mooncake, Qwen).

use serde_json::{Map, Value};
use sglsim_radix::Span;
use sglsim_units::nearest;

use super::labels::LabelReader;
use super::lines::Lines;
use super::table::{Rows, length};
use crate::content::BLOCK_IDS;
use crate::error::{TraceError, TraceErrorKind, shortened};

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
        let object: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
            // The parser says "at line 1" of a text that is one line of a file.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
            TraceErrorKind::Json {
                reason,
                column: Some(error.column()).filter(|column| *column > 0),
            }
        })?;
        let field = |field: &'static str| {
            object.get(field).ok_or_else(|| TraceErrorKind::Missing {
                field,
                misspelling: nearest(field, object.keys().map(String::as_str)).map(str::to_owned),
                present: object.keys().cloned().collect(),
            })
        };
        let tokens =
            |name: &'static str| field(name).and_then(|value| length(name, value.as_u64(), value));
        let refused = |field, value: &Value, allowed: &str| TraceErrorKind::Value {
            field,
            value: shortened(&value.to_string()),
            allowed: allowed.to_owned(),
        };

        let timestamp = field("timestamp")?;
        let at =
            timestamp.as_f64().ok_or_else(|| refused("timestamp", timestamp, "a finite number"))?;
        let (input_length, output_len) = (tokens("input_length")?, tokens("output_length")?);
        let written = field("hash_ids")?;
        let ids =
            written.as_array().ok_or_else(|| refused("hash_ids", written, "a list of ids"))?;
        let needed = u64::from(input_length.div_ceil(self.block_size));
        if ids.len() as u64 != needed {
            return Err(TraceErrorKind::Blocks {
                found: ids.len(),
                needed,
                input_length,
                block_size: self.block_size,
            });
        }
        for id in ids {
            if id.as_u64().is_none_or(|id| id >= BLOCK_IDS) {
                return Err(refused("hash_ids", id, "a whole number from 0 to 2^62 - 1"));
            }
        }
        let spans = ids.iter().filter_map(Value::as_u64).scan(input_length, |left, id| {
            let len = self.block_size.min(*left);
            *left -= len;
            Some(Span::new(id, len))
        });
        let arrival = (at - *start.get_or_insert(at)) / self.ticks_per_second;
        rows.push(("timestamp", &timestamp.to_string()), arrival, output_len, spans)?;
        rows.label(labels.read(|field| match object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(number @ Value::Number(_)) => Ok(Some(number.to_string())),
            Some(other) => Err(refused(field, other, "a text or a number")),
        })?);
        Ok(())
    }
}
