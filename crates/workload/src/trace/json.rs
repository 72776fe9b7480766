//! One line of a JSON-lines trace.

use serde_json::{Map, Value};
use sglsim_radix::Span;
use sglsim_units::{Labels, nearest};

use super::labels::LabelReader;
use super::table::length;
use crate::content::BLOCK_IDS;
use crate::error::{TraceErrorKind, shortened};

/// The fields of a line.
pub(super) struct JsonLine {
    object: Map<String, Value>,
}

impl JsonLine {
    pub(super) fn parse(line: &str) -> Result<Self, TraceErrorKind> {
        let object = serde_json::from_str(line).map_err(|error| {
            // The parser says "at line 1" of a text that is one line of a file.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
            TraceErrorKind::Json {
                reason,
                column: Some(error.column()).filter(|column| *column > 0),
            }
        })?;
        Ok(Self { object })
    }

    /// A field that may be missing; `null` is no value.
    pub(super) fn find(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn field(&self, field: &'static str) -> Result<&Value, TraceErrorKind> {
        self.object.get(field).ok_or_else(|| TraceErrorKind::Missing {
            field,
            misspelling: nearest(field, self.object.keys().map(String::as_str)).map(str::to_owned),
            present: self.object.keys().cloned().collect(),
        })
    }

    /// A number of tokens.
    pub(super) fn tokens(&self, field: &'static str) -> Result<u32, TraceErrorKind> {
        self.field(field).and_then(|value| length(field, value.as_u64(), value))
    }

    /// A finite number, and how the file writes it.
    pub(super) fn number(&self, field: &'static str) -> Result<(f64, String), TraceErrorKind> {
        let value = self.field(field)?;
        let number = value.as_f64().ok_or_else(|| refused(field, value, "a finite number"))?;
        Ok((number, value.to_string()))
    }

    /// A prompt of so many tokens as `hash_ids` of blocks says it.
    pub(super) fn blocks(
        &self,
        input_length: u32,
        block_size: u32,
    ) -> Result<Vec<Span>, TraceErrorKind> {
        let written = self.field("hash_ids")?;
        let ids =
            written.as_array().ok_or_else(|| refused("hash_ids", written, "a list of ids"))?;
        let needed = u64::from(input_length.div_ceil(block_size));
        if ids.len() as u64 != needed {
            let found = ids.len();
            return Err(TraceErrorKind::Blocks { found, needed, input_length, block_size });
        }
        let mut left = input_length;
        let span = |id: &Value| {
            let known = id.as_u64().filter(|id| *id < BLOCK_IDS);
            let content =
                known.ok_or_else(|| refused("hash_ids", id, "a whole number from 0 to 2^62 - 1"));
            let len = block_size.min(left);
            left -= len;
            Ok(Span::new(content?, len))
        };
        ids.iter().map(span).collect()
    }

    pub(super) fn labels(&self, reader: &mut LabelReader) -> Result<Labels, TraceErrorKind> {
        reader.read(|field| self.text(field))
    }

    /// A text, or a number as text, if it is there.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<String>, TraceErrorKind> {
        match self.find(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(number @ Value::Number(_)) => Ok(Some(number.to_string())),
            Some(other) => Err(refused(field, other, "a text or a number")),
        }
    }
}

pub(super) fn refused(field: &'static str, value: &Value, allowed: &str) -> TraceErrorKind {
    TraceErrorKind::Value {
        field,
        value: shortened(&value.to_string()),
        allowed: allowed.to_owned(),
    }
}
