//! The trace formats and how each one is recognised.

use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::columns::{self, Columns};
use super::sessions::SessionLines;

/// Format of a trace file. Compressed or not is seen from the file itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TraceFormat {
    /// Recognised by the first line.
    #[default]
    Auto,
    /// JSON lines of the Mooncake release (Qin et al., FAST'25): `timestamp` \[ms\],
    /// `input_length`, `output_length`, `hash_ids` of 512-token blocks. An id stands for its block
    /// and everything before it.
    Mooncake,
    /// JSON lines of the Qwen-Bailian release (arXiv 2506.02634): `timestamp` \[s\],
    /// `input_length`, `output_length`, `hash_ids` of 16-token blocks; `chat_id` and others are
    /// not used. Requests arrive at their times, whatever becomes of the turn before.
    Qwen,
    /// JSON lines of conversations, with the fields of NVIDIA's AIPerf: `session_id`, `timestamp` of the
    /// first turn and `delay` of later ones \[ms\], `input_length` of what is new, `output_length`, and
    /// `hash_ids` (512 tokens) or not. `turn` numbers the turns of a session from 0, `parent` is the turn
    /// that one continues; by default each continues the one before. A turn arrives `delay` after the
    /// end of its parent, and repeats all that was said.
    Sessions,
    /// CSV of the Azure LLM inference traces: `TIMESTAMP` (wall clock, UTC if it names no zone),
    /// `ContextTokens`, `GeneratedTokens`. Says nothing of shared prefixes: all prompts differ.
    Azure,
    /// CSV of BurstGPT: `Timestamp` \[s\], `Request tokens`, `Response tokens`. Take the release
    /// without failed requests. All prompts differ.
    BurstGpt,
    /// CSV with `arrival_s`, `input_length`, `output_length`. All prompts differ.
    Csv,
}

/// What a reader must know about a format.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// JSON lines with hashed blocks.
    Blocks(Blocks),
    /// JSON lines of conversations.
    Sessions(SessionLines),
    /// CSV.
    Columns(&'static Columns),
}

impl TraceFormat {
    /// How the file is to be read, `None` if `first_line` does not tell.
    pub(crate) fn form(self, first_line: &str) -> Option<Form> {
        match self {
            Self::Auto => Self::recognise(first_line)?.form(first_line),
            Self::Mooncake => Some(Form::Blocks(Blocks { block_size: 512, ticks_per_second: 1e3 })),
            Self::Qwen => Some(Form::Blocks(Blocks { block_size: 16, ticks_per_second: 1.0 })),
            Self::Sessions => Some(Form::Sessions(SessionLines { block_size: 512 })),
            Self::Azure => Some(Form::Columns(&columns::AZURE)),
            Self::BurstGpt => Some(Form::Columns(&columns::BURST_GPT)),
            Self::Csv => Some(Form::Columns(&columns::PLAIN)),
        }
    }

    fn recognise(first_line: &str) -> Option<Self> {
        if first_line.trim_start().starts_with('{') {
            return Some(match first_line {
                line if line.contains("\"session_id\"") => Self::Sessions,
                line if line.contains("\"chat_id\"") => Self::Qwen,
                _ => Self::Mooncake,
            });
        }
        // The most matching columns win, the first of equals; a single match is enough, so that a
        // misspelt header is reported as such.
        let candidates = [Self::Azure, Self::BurstGpt, Self::Csv];
        let matches = |format: &Self| match format.form(first_line) {
            Some(Form::Columns(columns)) => columns.matches(first_line),
            _ => 0,
        };
        let best = candidates.into_iter().rev().max_by_key(matches)?;
        (matches(&best) > 0).then_some(best)
    }

    /// The formats and their fields, for an error message.
    pub(crate) fn known() -> String {
        let csv = [columns::AZURE, columns::BURST_GPT, columns::PLAIN];
        let headers = csv.map(|form| format!("CSV with {}", form.names().join(", ")));
        format!(
            "JSON lines with timestamp, input_length, output_length, hash_ids, or with session_id, \
             timestamp or delay, input_length, output_length; {}",
            headers.join("; ")
        )
    }
}
