//! What the columns of a table mean: data, not code. The built-in formats are mappings too.

use std::collections::BTreeMap;

use ron::extensions::Extensions;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sglsim_units::Nearest;

use crate::arithmetic::Arithmetic;
use crate::operator::{Kind, Operator};
use crate::table::Table;
use crate::{CalibrateError, units};

/// How the rows of a table are calls of an operator.
///
/// ```
/// use sglsim_calibrate::Mapping;
///
/// let mapping = Mapping::from_ron(r#"(
///     operator: "gemm",
///     time: "t_us [us]",
///     arguments: { "m": "tokens", "n": "out / tp", "k": "in", "dtype": "'fp8'" },
///     when: { "gpu": ["H100"] },
/// )"#)?;
/// let error = Mapping::from_ron(r#"(operator: "gem", time: "t [us]", arguments: {})"#).unwrap_err();
/// assert!(error.to_string().contains("did you mean `gemm`?"));
/// # Ok::<(), sglsim_calibrate::CalibrateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mapping {
    /// The operator, by name; [`Operator::all`] lists them.
    pub operator: String,
    /// Time of one call on one rank, with its unit: arithmetic on columns, such as `"latency [ms]"`.
    pub time: String,
    /// The call. A number is arithmetic on columns (`"batch * (isl + step)"`), with a unit where it
    /// is an amount of data (`"message_size * 2 [B]"`); a word is a column, or a constant in single
    /// quotes (`"'fp8'"`).
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
    /// Values that columns must have for a row to be such a call.
    #[serde(default)]
    pub when: BTreeMap<String, Vec<String>>,
}

/// A mapping of one table: names are columns.
pub(crate) struct Resolved {
    pub(crate) operator: &'static Operator,
    time: Number,
    /// Numbers and words in the order of the operator's arguments.
    numbers: Vec<Number>,
    words: Vec<Word>,
    conditions: Vec<(usize, Vec<String>)>,
}

struct Number {
    value: Arithmetic,
    scale: f64,
    columns: Vec<(String, usize)>,
}

enum Word {
    Column(usize),
    Constant(String),
}

impl Mapping {
    /// Reads a mapping from RON text.
    ///
    /// # Errors
    ///
    /// [`CalibrateError::Syntax`] with line and column; [`CalibrateError::Mapping`] if there is no
    /// such operator, or it has no such argument, or needs another.
    pub fn from_ron(text: &str) -> Result<Self, CalibrateError> {
        let mapping: Self = parse(text)?;
        mapping.operator()?;
        Ok(mapping)
    }

    /// Reads a mapping, or a list of them (`[(…), (…)]`), from RON text.
    ///
    /// # Errors
    ///
    /// As [`Mapping::from_ron`].
    pub fn list_from_ron(text: &str) -> Result<Vec<Self>, CalibrateError> {
        let begins =
            text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("//"));
        if begins.is_some_and(|line| line.starts_with('(')) {
            return Ok(vec![Self::from_ron(text)?]);
        }
        let mappings: Vec<Self> = parse(text)?;
        mappings.iter().try_for_each(|mapping| mapping.operator().map(|_| ()))?;
        Ok(mappings)
    }

    /// The operator, with every argument checked.
    pub(crate) fn operator(&self) -> Result<&'static Operator, CalibrateError> {
        let names = || Operator::all().iter().map(|operator| operator.name);
        let operator = Operator::named(&self.operator).ok_or_else(|| {
            let known = names().collect::<Vec<_>>().join(", ");
            let problem = format!("there is no operator `{}` (known: {known})", self.operator);
            self.wrong(problem, Nearest::to(&self.operator, names()))
        })?;
        let arguments = || operator.arguments.iter().map(|argument| argument.name);
        if let Some(name) = self.arguments.keys().find(|name| arguments().all(|it| it != *name)) {
            let known = arguments().collect::<Vec<_>>().join(", ");
            let problem = format!("it has no argument `{name}` (known: {known})");
            return Err(self.wrong(problem, Nearest::to(name, arguments())));
        }
        let missing = |it: &&crate::operator::Argument| {
            it.default.is_none() && !self.arguments.contains_key(it.name)
        };
        if let Some(argument) = operator.arguments.iter().find(missing) {
            let problem = format!("argument `{}` is missing: {}", argument.name, argument.doc);
            return Err(self.wrong(problem, Nearest::to("", [])));
        }
        Ok(operator)
    }

    fn wrong(&self, problem: String, nearest: Nearest) -> CalibrateError {
        CalibrateError::Mapping { operator: self.operator.clone(), problem, nearest }
    }

    pub(crate) fn resolve(&self, table: &Table) -> Result<Resolved, CalibrateError> {
        let operator = self.operator()?;
        let time = self.number(table, "time", &self.time, units::TIME)?;
        for (name, at) in &time.columns {
            if let Some((named, scale)) = units::of_name(name)
                && scale != time.scale
            {
                let mapped = units::split(&self.time).1.unwrap_or_default().to_owned();
                return Err(CalibrateError::MixedUnits {
                    path: table.path.clone(),
                    column: at + 1,
                    name: name.clone(),
                    named,
                    mapped,
                });
            }
        }
        let (mut numbers, mut words) = (Vec::new(), Vec::new());
        for argument in operator.arguments {
            let given = self.arguments.get(argument.name).map(String::as_str);
            let text = given.or(argument.default).expect("checked by operator()");
            let of = format!("{}.{}", self.operator, argument.name);
            match argument.kind {
                Kind::Word => words.push(match quoted(text) {
                    Some(constant) => Word::Constant(constant.to_owned()),
                    None => Word::Column(table.column(text, &of)?),
                }),
                Kind::Data => numbers.push(self.number(table, argument.name, text, units::DATA)?),
                Kind::Count | Kind::Size => {
                    numbers.push(self.number(table, argument.name, text, &[])?);
                }
            }
        }
        let conditions = self.when.iter().map(|(column, values)| {
            Ok((table.column(column, &format!("{}.when", self.operator))?, values.clone()))
        });
        let conditions = conditions.collect::<Result<_, CalibrateError>>()?;
        Ok(Resolved { operator, time, numbers, words, conditions })
    }

    /// Arithmetic on the columns of a table; without known units, a count, which has none.
    fn number(
        &self,
        table: &Table,
        what: &str,
        text: &str,
        known: &[(&str, f64)],
    ) -> Result<Number, CalibrateError> {
        let wrong = |problem: String| {
            self.wrong(format!("`{what}: {text}` {problem}"), Nearest::to("", []))
        };
        let (value, unit) = units::split(text);
        let scale = match (known, unit) {
            ([], None) => 1.0,
            ([], Some(unit)) => {
                return Err(wrong(format!("is a count, which has no unit such as `{unit}`")));
            }
            _ => units::scale(unit, known).map_err(wrong)?,
        };
        let value =
            Arithmetic::parse(value).map_err(|why| wrong(format!("is not clear: {why}")))?;
        let of = format!("{}.{what}", self.operator);
        let columns = value
            .names()
            .into_iter()
            .map(|name| Ok((name.to_owned(), table.column(name, &of)?)))
            .collect::<Result<_, CalibrateError>>()?;
        Ok(Number { value, scale, columns })
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.strip_suffix('\'')
}

impl Resolved {
    /// Conditions that a row fails: column and value.
    pub(crate) fn failed(&self, table: &Table, row: usize) -> Vec<(usize, String)> {
        let cells = &table.rows[row].1;
        let fails =
            |(at, values): &&(usize, Vec<String>)| values.iter().all(|value| *value != cells[*at]);
        self.conditions.iter().filter(fails).map(|(at, _)| (*at, cells[*at].to_owned())).collect()
    }

    /// The words of a row's call.
    pub(crate) fn words(&self, table: &Table, row: usize) -> Vec<String> {
        let word = |word: &Word| match word {
            Word::Column(at) => table.rows[row].1[*at].to_owned(),
            Word::Constant(text) => text.clone(),
        };
        self.words.iter().map(word).collect()
    }

    /// Time of a row's call \[s\], and its numbers. The time is finite and not negative, numbers are
    /// finite.
    pub(crate) fn call(
        &self,
        table: &Table,
        row: usize,
    ) -> Result<(f64, Vec<f64>), CalibrateError> {
        let seconds = self.time.of(table, row)?;
        if seconds < 0.0 {
            let at = self.time.columns.first().map_or(0, |(_, at)| *at);
            return Err(table.wrong(row, at, "but a time is not negative".to_owned()));
        }
        let numbers = self.numbers.iter().map(|number| number.of(table, row));
        Ok((seconds, numbers.collect::<Result<_, _>>()?))
    }
}

impl Number {
    fn of(&self, table: &Table, row: usize) -> Result<f64, CalibrateError> {
        let mut cell = |name: &str| {
            let known = self.columns.iter().find(|(known, _)| known == name);
            table.number(row, known.expect("every name was resolved").1)
        };
        let value = self.value.evaluate(&mut cell)? * self.scale;
        if value.is_finite() {
            return Ok(value);
        }
        let at = self.columns.first().map_or(0, |(_, at)| *at);
        Err(table.wrong(row, at, format!("so that `{}` is not a finite number", self.value)))
    }
}

/// Reads RON, in which `Some(…)` may be left out.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CalibrateError> {
    use ron::Error::{NoSuchEnumVariant, NoSuchStructField};
    let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
    options.from_str(text).map_err(|error| CalibrateError::Syntax {
        line: error.span.start.line,
        column: error.span.start.col,
        reason: error.code.to_string(),
        nearest: match &error.code {
            NoSuchStructField { expected, found, .. }
            | NoSuchEnumVariant { expected, found, .. } => {
                Nearest::to(found, expected.iter().copied())
            }
            _ => Nearest::to("", []),
        },
    })
}
