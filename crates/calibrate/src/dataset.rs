//! Measurements of operators, gathered from tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::CalibrateError;
use crate::format::Format;
use crate::mapping::{Mapping, Resolved};
use crate::operator::{Kind, Operator};
use crate::table::Table;

/// Measured calls of operators, from any number of tables.
///
/// No row is dropped silently: what is not a call of a known operator is counted with its reason
/// ([`Dataset::unsupported`]), and what cannot be right is an error with its place.
#[derive(Debug, Default)]
pub struct Dataset {
    pub(crate) tables: Vec<TableInfo>,
    pub(crate) variants: Vec<Variant>,
    pub(crate) samples: Vec<Sample>,
    /// Numbers of all samples, one after the other.
    pub(crate) numbers: Vec<f64>,
    unsupported: BTreeMap<(usize, String, String, String), usize>,
    known: BTreeMap<VariantKey, usize>,
}

/// Operator, words and sizes (as bits).
type VariantKey = (&'static str, Vec<String>, Vec<u64>);

/// Calls that share a law: the same operator, words and sizes.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) operator: &'static Operator,
    pub(crate) words: Vec<String>,
    pub(crate) sizes: Vec<f64>,
}

/// One measured call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) variant: usize,
    pub(crate) table: usize,
    pub(crate) line: u64,
    /// Where its numbers begin.
    at: usize,
    pub(crate) seconds: f64,
}

/// A table that was read.
#[derive(Clone, Debug)]
pub(crate) struct TableInfo {
    /// Name of the file; with its folder if another table's is the same.
    pub(crate) file: String,
    path: PathBuf,
    pub(crate) rows: usize,
}

/// Rows of a table that are no call of a known operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsupported {
    /// The table's file.
    pub file: String,
    /// The operator that they are closest to.
    pub operator: String,
    /// Their number format.
    pub dtype: String,
    /// Why they cannot be expressed.
    pub reason: String,
    /// How many.
    pub rows: usize,
}

impl Dataset {
    /// No measurements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a CSV table (plain or gzipped) in one of the known formats.
    ///
    /// # Errors
    ///
    /// [`CalibrateError::UnknownFormat`], or as [`Dataset::add_mapped`].
    pub fn add(&mut self, path: impl AsRef<Path>) -> Result<(), CalibrateError> {
        let table = Table::read(path.as_ref())?;
        let format = Format::of(&table)?;
        self.add_table(&table, &format.mappings)
    }

    /// Adds a CSV table (plain or gzipped) whose columns mean what `mappings` say; a row is a call
    /// of each mapping whose conditions it meets.
    ///
    /// # Errors
    ///
    /// [`CalibrateError`] with file, line and column, if the table cannot be read or is empty, lacks
    /// a column, mixes units, or has a cell that is not a finite number where one is needed.
    pub fn add_mapped(
        &mut self,
        path: impl AsRef<Path>,
        mappings: &[Mapping],
    ) -> Result<(), CalibrateError> {
        self.add_table(&Table::read(path.as_ref())?, mappings)
    }

    /// Measured calls.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Rows that are no call of a known operator, with the reason.
    pub fn unsupported(&self) -> impl Iterator<Item = Unsupported> {
        self.unsupported.iter().map(|((table, operator, dtype, reason), rows)| Unsupported {
            file: self.tables[*table].file.clone(),
            operator: operator.clone(),
            dtype: dtype.clone(),
            reason: reason.clone(),
            rows: *rows,
        })
    }

    /// Numbers of a sample's call, in the order of its operator's arguments.
    pub(crate) fn numbers(&self, sample: &Sample) -> &[f64] {
        let count = self.variants[sample.variant].operator.numbers().count();
        &self.numbers[sample.at..sample.at + count]
    }

    fn add_table(&mut self, table: &Table, mappings: &[Mapping]) -> Result<(), CalibrateError> {
        let mappings =
            mappings.iter().map(|mapping| mapping.resolve(table)).collect::<Result<Vec<_>, _>>()?;
        let index = self.tables.len();
        self.tables.push(TableInfo {
            file: table.file_name(),
            path: table.path.clone(),
            rows: table.rows.len(),
        });
        self.name_tables_apart(index);
        for row in 0..table.rows.len() {
            let failed: Vec<_> =
                mappings.iter().map(|mapping| mapping.failed(table, row)).collect();
            for (mapping, _) in mappings.iter().zip(&failed).filter(|(_, why)| why.is_empty()) {
                self.add_call(table, index, row, mapping)?;
            }
            let closest = mappings.iter().zip(&failed).min_by_key(|(_, why)| why.len());
            if let Some((mapping, why)) = closest.filter(|(_, why)| !why.is_empty()) {
                let why: Vec<String> = why
                    .iter()
                    .map(|(column, value)| format!("{} is {value}", table.columns[*column]))
                    .collect();
                self.refuse(index, mapping, &mapping.words(table, row), why.join(", "));
            }
        }
        Ok(())
    }

    /// Puts the folder in front of equal names of tables, of a new one and of those before.
    fn name_tables_apart(&mut self, new: usize) {
        let file = self.tables[new].file.clone();
        let same = |it: &TableInfo| it.path.file_name().is_some_and(|name| *name == *file);
        if self.tables.iter().filter(|it| same(it)).count() > 1 {
            for table in self.tables.iter_mut().filter(|it| same(it)) {
                let folder = table.path.parent().and_then(Path::file_name).unwrap_or_default();
                table.file = format!("{}/{file}", folder.to_string_lossy());
            }
        }
    }

    fn add_call(
        &mut self,
        table: &Table,
        index: usize,
        row: usize,
        mapping: &Resolved,
    ) -> Result<(), CalibrateError> {
        let words = mapping.words(table, row);
        let (seconds, numbers) = mapping.call(table, row)?;
        let operator = mapping.operator;
        let of_kind = |kind| {
            operator.numbers().zip(&numbers).filter(move |(argument, _)| argument.kind == kind)
        };
        let fraction = [Kind::Count, Kind::Data]
            .into_iter()
            .flat_map(of_kind)
            .find(|(_, value)| value.fract() != 0.0);
        let reason = if seconds == 0.0 {
            Some("its time is 0".to_owned())
        } else if let Some((argument, _)) = fraction {
            Some(format!("{} is not a whole number", argument.name))
        } else {
            let least = |argument: &crate::operator::Argument| {
                if argument.default == Some("0") { 0.0 } else { f64::MIN_POSITIVE }
            };
            let small = operator.numbers().zip(&numbers).find(|(it, value)| **value < least(it));
            small.map(|(argument, value)| format!("{} is {value}", argument.name))
        };
        if let Some(reason) = reason {
            self.refuse(index, mapping, &words, reason);
            return Ok(());
        }
        let sizes: Vec<f64> = of_kind(Kind::Size).map(|(_, value)| *value).collect();
        let bits = sizes.iter().map(|size| size.to_bits()).collect();
        let next = self.variants.len();
        let key = (operator.name, words.clone(), bits);
        let variant = *self.known.entry(key).or_insert(next);
        if variant == next {
            self.variants.push(Variant { operator, words, sizes });
        }
        let line = table.rows[row].0;
        let at = self.numbers.len();
        self.numbers.extend(numbers);
        self.samples.push(Sample { variant, table: index, line, at, seconds });
        Ok(())
    }

    fn refuse(&mut self, table: usize, mapping: &Resolved, words: &[String], reason: String) {
        let (operator, dtype) = label(mapping.operator, words);
        *self.unsupported.entry((table, operator, dtype, reason)).or_default() += 1;
    }
}

impl Variant {
    /// Operator and number format for scores.
    pub(crate) fn label(&self) -> (String, String) {
        label(self.operator, &self.words)
    }
}

/// How calls are told apart in scores: the operator, with the kernel if it is not the usual one, and
/// the number formats.
fn label(operator: &Operator, words: &[String]) -> (String, String) {
    let mut name = operator.name.to_owned();
    let mut dtypes: Vec<&str> = Vec::new();
    for (argument, word) in operator.words().zip(words) {
        let usual = argument.default.map(|text| text.trim_matches('\''));
        match argument.name {
            "dtype" | "kv_dtype" => {
                let word = short(word);
                if !dtypes.contains(&word) {
                    dtypes.push(word);
                }
            }
            "distribution" => {}
            "kernel" | "cache" if usual == Some(word) => {}
            _ if word == "none" => {}
            _ => {
                name.push(' ');
                name.push_str(word);
            }
        }
    }
    (name, if dtypes.is_empty() { "-".to_owned() } else { dtypes.join("/") })
}

fn short(dtype: &str) -> &str {
    match dtype {
        "bfloat16" | "float16" | "half" | "fp16" => "bf16",
        other => other,
    }
}
