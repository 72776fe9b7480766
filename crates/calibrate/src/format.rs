//! Tables that need no mapping because their format is known.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::CalibrateError;
use crate::mapping::{Mapping, parse};
use crate::table::Table;

/// A known kind of table: how to recognise it, and what its columns mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Format {
    /// Name for messages.
    pub(crate) name: String,
    /// Beginning of the file's name.
    file: String,
    /// Columns that it has, others aside.
    columns: Vec<String>,
    /// What a row is; where several mappings apply, it is several calls.
    pub(crate) mappings: Vec<Mapping>,
}

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let files =
        [include_str!("../formats/aiconfigurator.ron"), include_str!("../formats/vidur.ron")];
    let read = |text| parse::<Vec<Format>>(text).expect("the built-in formats are tested");
    files.into_iter().flat_map(read).collect()
});

impl Format {
    /// The format of a table, by the beginning of its file's name and its columns.
    pub(crate) fn of(table: &Table) -> Result<&'static Self, CalibrateError> {
        let file = table.file_name();
        let fits = |format: &&Self| {
            file.starts_with(&format.file)
                && format.columns.iter().all(|column| table.columns.contains(column))
        };
        FORMATS.iter().find(fits).ok_or_else(|| CalibrateError::UnknownFormat {
            path: table.path.clone(),
            columns: table.columns.clone(),
            formats: Self::names().map(str::to_owned).collect(),
        })
    }

    /// Names of the known formats.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().map(|format| format.name.as_str())
    }

    #[cfg(test)]
    pub(crate) fn all() -> &'static [Self] {
        &FORMATS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_mappings_name_operators_and_arguments() {
        for format in Format::all() {
            for mapping in &format.mappings {
                mapping.operator().unwrap_or_else(|error| panic!("{}: {error}", format.name));
            }
        }
    }
}
