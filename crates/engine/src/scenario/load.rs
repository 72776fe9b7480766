//! Reading and writing a scenario as RON, with errors that say where and what was meant.

use std::path::Path;

use ron::Options;
use ron::extensions::Extensions;
use sglsim_units::Nearest;

use super::{Scenario, ScenarioError};

fn options() -> Options {
    Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Read`] or [`ScenarioError::Syntax`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::from_ron(&text).map_err(|mut error| {
            if let ScenarioError::Syntax { file, .. } = &mut error {
                *file = Some(path.into());
            }
            error
        })
    }

    /// Reads a scenario from RON text.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Syntax`] with line, column and field; an unknown field is refused and the
    /// nearest known one named.
    pub fn from_ron(text: &str) -> Result<Self, ScenarioError> {
        let options = options();
        let mut deserializer = ron::Deserializer::from_str_with_options(text, &options)
            .map_err(|error| syntax(String::new(), &error))?;
        let scenario = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            syntax(path, &deserializer.span_error(error.into_inner()))
        })?;
        deserializer
            .end()
            .map_err(|error| syntax(String::new(), &deserializer.span_error(error)))?;
        Ok(scenario)
    }

    /// The scenario as RON text, every default written out.
    ///
    /// # Panics
    ///
    /// Never: a scenario holds nothing that RON cannot write.
    #[must_use]
    pub fn to_ron(&self) -> String {
        let pretty = ron::ser::PrettyConfig::new()
            .struct_names(false)
            .extensions(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES);
        let mut text = options().to_string_pretty(self, pretty).expect("a scenario is plain data");
        text.push('\n');
        text
    }
}

fn syntax(mut path: String, error: &ron::error::SpannedError) -> ScenarioError {
    use ron::Error::{MissingStructField, NoSuchEnumVariant, NoSuchStructField};
    let (message, found, known) = match &error.code {
        NoSuchStructField { expected, found, .. } => {
            // The field that exists is the one around it.
            path.truncate(path.rfind('.').unwrap_or(0));
            (format!("there is no field `{found}`"), found.as_str(), *expected)
        }
        NoSuchEnumVariant { expected, found, .. } => {
            (format!("there is no `{found}`"), found.as_str(), *expected)
        }
        MissingStructField { field, .. } => (format!("`{field}` is missing"), "", &[][..]),
        other => (other.to_string(), "", &[][..]),
    };
    ScenarioError::Syntax {
        file: None,
        line: error.span.start.line,
        column: error.span.start.col,
        path,
        message: message.into(),
        nearest: Nearest::to(found, known.iter().copied()),
        known,
    }
}
