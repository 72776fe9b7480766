//! NumPy, JAX and CasADi: modules whose values are arrays or expressions of a library.
//!
//! Such values cannot be branched on: all arms are computed and one is selected, and the body of a sum
//! or of a fixed point is a function that a helper calls.

use super::script::{Script, call, called, number, table};
use crate::tape::Op;
use crate::tape::source::{Dialect, Loop, Text};
use crate::{ExprError, Module};

/// A library of functions on its own values.
struct Library {
    language: &'static str,
    function: fn(Op) -> Option<&'static str>,
    /// What every helper gets besides.
    option: &'static str,
}

const NUMPY: Library =
    Library { language: "the NumPy export", function: numpy_function, option: ", xp" };

fn numpy_function(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::PowInt | Op::Pow => "xp.power",
        Op::Sqrt => "xp.sqrt",
        Op::Exp => "xp.exp",
        Op::Ln => "xp.log",
        Op::Max => "xp.maximum",
        Op::Min => "xp.minimum",
        Op::Ceil => "xp.ceil",
        Op::Floor => "xp.floor",
        Op::And => "xp.logical_and",
        Op::Or => "xp.logical_or",
        Op::Not => "xp.logical_not",
        Op::Select => "xp.where",
        _ => return None,
    })
}

const CASADI: Library =
    Library { language: "the CasADi export", function: casadi_function, option: "" };

fn casadi_function(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::PowInt | Op::Pow => "casadi.power",
        Op::Sqrt => "casadi.sqrt",
        Op::Exp => "casadi.exp",
        Op::Ln => "casadi.log",
        Op::Max => "casadi.fmax",
        Op::Min => "casadi.fmin",
        Op::Ceil => "casadi.ceil",
        Op::Floor => "casadi.floor",
        Op::And => "casadi.logic_and",
        Op::Or => "casadi.logic_or",
        Op::Not => "casadi.logic_not",
        Op::Select => "casadi.if_else",
        _ => return None,
    })
}

impl Dialect for Library {
    fn language(&self) -> &'static str {
        self.language
    }

    fn number(&self, value: f64) -> String {
        number(value)
    }

    fn call(&self, op: Op, operands: &[Text]) -> Option<Text> {
        call((self.function)(op)?, operands)
    }

    fn define(&self, name: &str, text: &str) -> String {
        format!("{name} = {text}")
    }

    fn sum(&self, sum: &Loop<'_>) -> (Vec<String>, Vec<String>) {
        let Loop { total, function, lo, hi, most, .. } = sum;
        let most = most.map_or("None".to_owned(), |most| most.to_string());
        let option = self.option;
        called(sum, format!("{total} = _sum({lo}, {hi}, {function}, {most}{option})"))
    }

    fn root(&self, root: &Loop<'_>) -> (Vec<String>, Vec<String>) {
        let Loop { total, function, lo, hi, .. } = root;
        let option = self.option;
        called(root, format!("{total} = _fixed_point({lo}, {hi}, {function}{option})"))
    }

    fn table(&self, name: &str, values: &[f64]) -> String {
        table(name, values)
    }

    fn entry(&self, table: &str, _: usize, index: &Text) -> Text {
        Text::atom(format!("_entry({table}, {}{})", index.text, self.option))
    }
}

/// The function for CasADi's solvers.
const BUILD: &str = r#"

@functools.cache
def build():
    """A casadi.Function of all variables and parameters, by name, that gives the objective and the
    slacks, one below the other."""
    names = [*variables, *parameters]
    symbols = [casadi.SX.sym(name) for name in names]
    objective, _, slacks, _ = model(*symbols)
    outputs = [casadi.SX(objective), casadi.vertcat(*map(casadi.SX, slacks.values()))]
    return casadi.Function("formula", symbols, outputs, {"allow_duplicate_io_names": True})
"#;

impl Module {
    /// A Python module that computes the objective of whole arrays, by NumPy or by anything that is
    /// called alike: `evaluate(values, xp=jax.numpy)` can be jitted and differentiated.
    ///
    /// It has the functions of [`Module::to_python`] but `violated`. An undefined operand makes a
    /// maximum undefined here. Under JAX, with `jax_enable_x64`, a sum is a loop of `jax.lax` and a
    /// fixed point has its implicit derivative; a sum whose number of terms the domains do not
    /// bound has a forward derivative only, and the derivative of an arm that is not chosen counts
    /// as NaN if that arm is undefined, as everywhere in JAX.
    ///
    /// # Errors
    ///
    /// As [`Module::to_python`].
    pub fn to_numpy(&self) -> Result<String, ExprError> {
        let script = Script {
            kind: "numpy",
            import: "\nimport numpy\n",
            helpers: include_str!("helpers/numpy.py"),
            option: ", xp=numpy",
            convert: "xp.asarray(value, dtype=float)",
            call: "with numpy.errstate(all=\"ignore\"):\n        return model(*inputs, xp=xp)",
            all: "functools.reduce(xp.logical_and, holds.values(), xp.asarray(True))",
            more: "",
        };
        self.script(&NUMPY, &script)
    }

    /// A Python module for CasADi: the functions of [`Module::to_python`] but `violated`, which take
    /// and give `casadi.SX` or numbers, and `build()`, a `casadi.Function` of all variables and
    /// parameters in order that gives the objective and the slacks.
    ///
    /// Sums are written out as far as the domains let them go; `ceil` and `floor` have the
    /// derivative 0.
    ///
    /// # Errors
    ///
    /// As [`Module::to_python`].
    pub fn to_casadi(&self) -> Result<String, ExprError> {
        let script = Script {
            kind: "casadi",
            import: "import math\n\nimport casadi\n",
            helpers: include_str!("helpers/casadi.py"),
            option: "",
            convert: "value",
            call: "return model(*inputs)",
            all: "functools.reduce(casadi.logic_and, holds.values(), casadi.DM(1))",
            more: BUILD,
        };
        self.script(&CASADI, &script)
    }
}
