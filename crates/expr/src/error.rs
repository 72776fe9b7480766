//! Everything that can be wrong with an expression, or with what it is asked to do.

use sglsim_units::Nearest;

use crate::{Dimension, Problems, Sort};

/// An expression cannot be built, evaluated, compiled, exported or read.
///
/// Operators cannot return a `Result`, so a wrong operand (a NaN, a comparison where a number is
/// needed) makes an *invalid* expression that remembers the first thing that went wrong. Every
/// operation on it stays invalid, and [`Expr::check`](crate::Expr::check), `evaluate`, `compile`
/// and the exports return that first error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprError {
    /// A constant is NaN or infinite, or constant folding left the range of `f64`.
    #[error("constant in `{operation}` is {value}, allowed is a finite number")]
    NotFinite {
        /// Where the constant came in.
        operation: &'static str,
        /// The refused value.
        value: f64,
    },
    /// A symbol's declaration is not usable.
    #[error("symbol `{name}` has {problem}")]
    InvalidSymbol {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The same name was declared twice, differently.
    #[error("symbol `{name}` was declared as {first} and then as {second}")]
    ConflictingSymbol {
        /// The name.
        name: String,
        /// The declaration that stands.
        first: String,
        /// The declaration that was refused.
        second: String,
    },
    /// An operand has the wrong sort, such as a comparison where a number is needed.
    #[error("`{operation}` needs {expected} operands, `{operand}` is {found}")]
    WrongSort {
        /// The operation.
        operation: &'static str,
        /// What it needs.
        expected: &'static str,
        /// What it got.
        found: Sort,
        /// The operand as text, cut after 80 characters.
        operand: String,
    },
    /// Operands that must have one dimension have two.
    #[error("`{operation}` of `{left}` in {left_dimension} and `{right}` in {right_dimension}")]
    Dimension {
        /// The operation.
        operation: &'static str,
        /// The first operand with a dimension, as text.
        left: String,
        /// The dimension of the operands up to there.
        left_dimension: Dimension,
        /// The operand that does not fit, as text.
        right: String,
        /// Its dimension.
        right_dimension: Dimension,
    },
    /// An operand of a function must be a pure number.
    #[error("`{operation}` needs a pure number, `{operand}` is in {dimension}")]
    NotPure {
        /// The operation.
        operation: &'static str,
        /// The operand as text.
        operand: String,
        /// Its dimension.
        dimension: Dimension,
    },
    /// An expression was named with a unit that it does not have.
    #[error("`{operand}` was declared in {unit}, but is in {dimension}")]
    DeclaredUnit {
        /// The expression as text.
        operand: String,
        /// The unit it was declared with.
        unit: String,
        /// What it is.
        dimension: Dimension,
    },
    /// A unit has a part that is not known.
    #[error("unit `{unit}` has an unknown part `{part}`{hint}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The part.
        part: String,
        /// The known part closest to it.
        hint: Nearest,
    },
    /// A limit of a sum is not proven to be an integer.
    #[error("sum limit `{limit}` is not an integer; wrap it in `floor` or `ceil`")]
    SumLimit {
        /// The limit as text.
        limit: String,
    },
    /// The first operand of a sum is not an index.
    #[error("`{operand}` is not a sum index; make one with `Context::index`")]
    NotAnIndex {
        /// What was given.
        operand: String,
    },
    /// The first operand of a fixed point is not an unknown.
    #[error("`{operand}` is not an unknown; make one with `Context::unknown`")]
    NotAnUnknown {
        /// What was given.
        operand: String,
    },
    /// The index of a table is not proven to be an integer.
    #[error("table index `{index}` is not an integer; wrap it in `floor` or `ceil`")]
    TableIndex {
        /// The index as text.
        index: String,
    },
    /// A table of points cannot be looked up.
    #[error("lookup table has {problem}")]
    InvalidTable {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A range has no values.
    #[error("range from {lo} to {hi} is empty")]
    EmptyRange {
        /// Its least value.
        lo: f64,
        /// Its greatest value.
        hi: f64,
    },
    /// A sum's body already contains a sum over the same index, or a fixed point of it.
    #[error("index `{index}` is already bound inside; make another with `Context::index`")]
    IndexReused {
        /// The index.
        index: String,
    },
    /// A sum index is used outside its sum.
    #[error("index `{index}` is used outside its sum")]
    FreeIndex {
        /// The index.
        index: String,
    },
    /// Sums are nested too deeply to compile.
    #[error("sums are nested {depth} deep, allowed are {limit}")]
    NestedSums {
        /// Nesting that was reached.
        depth: usize,
        /// The limit.
        limit: usize,
    },
    /// Symbols have no value.
    #[error("no value for `{}`; bound are: {}{hint}", missing.join("`, `"), listed(bound))]
    Unbound {
        /// Symbols without a value, in order of declaration.
        missing: Vec<String>,
        /// Names that do have one.
        bound: Vec<String>,
        /// The bound name closest to the first missing one.
        hint: Nearest,
    },
    /// A value was given for a name that is no symbol.
    #[error("`{name}` is not a symbol of this module{hint}")]
    UnknownSymbol {
        /// The name.
        name: String,
        /// The symbol closest to it.
        hint: Nearest,
    },
    /// A variable of a module is not a symbol.
    #[error("`{operand}` is not a symbol, so it cannot be a variable")]
    NotASymbol {
        /// What was given, as text.
        operand: String,
    },
    /// A value is outside its symbol's domain.
    #[error("`{name}` is {value}, allowed is {allowed}")]
    OutOfDomain {
        /// The symbol.
        name: String,
        /// The refused value.
        value: f64,
        /// The allowed values, in words.
        allowed: String,
    },
    /// The value of an expression is not a finite number at this point.
    #[error("`{operation}` of {} gives {value}", listed_numbers(operands))]
    Undefined {
        /// The operation where the value was lost.
        operation: &'static str,
        /// Its operands.
        operands: Vec<f64>,
        /// Its result.
        value: f64,
    },
    /// No kernel of a choice can be used at this point.
    #[error("no feasible choice among `{}`", choices.join("`, `"))]
    Infeasible {
        /// Names of the choices.
        choices: Vec<String>,
    },
    /// An assumption does not hold at this point.
    #[error("`{operand}` is {value}, assumed was {allowed}")]
    Assumption {
        /// What was assumed about, as text.
        operand: String,
        /// Its value.
        value: f64,
        /// What it was assumed to be, in words.
        allowed: String,
    },
    /// A fixed point is not between its bounds.
    #[error(
        "no fixed point of `{unknown}` in [{lo}, {hi}]: {unknown} − f({unknown}) does not rise through zero"
    )]
    NotBracketed {
        /// The unknown.
        unknown: String,
        /// The lower bound at this point.
        lo: f64,
        /// The upper bound at this point.
        hi: f64,
    },
    /// A sum would run over more terms than are allowed in one evaluation.
    #[error("sums run over more than {limit} terms in one evaluation")]
    TooManyTerms {
        /// Terms allowed in one evaluation.
        limit: u64,
    },
    /// An operation is not known to an evaluator or an export.
    #[error("`{operation}` is not supported by {by}")]
    Unsupported {
        /// The operation.
        operation: &'static str,
        /// What does not know it.
        by: &'static str,
    },
    /// A part cannot be written for a solver.
    #[error("`{operand}` has no form for a solver: {problem}")]
    NoSolverForm {
        /// The part as text.
        operand: String,
        /// Why not.
        problem: &'static str,
    },
    /// A document is not an expression of this format.
    #[error("not an expression document, at `{path}`: {problem}")]
    Format {
        /// Position in the document, such as `nodes[3]`.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// A text cannot be read; every problem with its place.
    #[error("{0}")]
    Text(Problems),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
}

fn listed_numbers(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}
