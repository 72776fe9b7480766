//! Plain Python: modules that need no SymPy; and what all modules in Python share.

use super::listing::Names;
use super::plan::Plan;
use super::python::SPECIAL;
use super::sympy::{PYTHON, dict, python_number, quoted};
use crate::tape::Op;
use crate::tape::source::{Dialect, Level, Loop, Text};
use crate::{ExprError, Module};

/// Names of the module itself.
const RESERVED: &[&str] = &[
    "numpy",
    "xp",
    "difflib",
    "functools",
    "model",
    "evaluate",
    "violated",
    "feasible",
    "slacks",
    "parts",
    "values",
    "units",
    "descriptions",
    "variables",
    "parameters",
    "objective_name",
    "bound",
    "given",
    "run",
    "value",
    "name",
    "_div",
    "_pow",
    "_sqrt",
    "_exp",
    "_ln",
    "_ceil",
    "_floor",
    "_terms",
    "_start",
    "_total",
    "_sum",
    "_entry",
    "_table",
    "_fixed_point",
    "casadi",
    "build",
];

/// IEEE arithmetic where Python would raise: a part that is not chosen must not.
const PYTHON_HELPERS: &str = r#"
def _total(operation):
    def call(*operands):
        try:
            value = operation(*operands)
            return float(value) if isinstance(value, (int, float)) else math.nan
        except (ArithmeticError, ValueError):
            return math.nan
    return call


_div = _total(lambda a, b: a / b)
_pow = _total(lambda a, b: a**b)
_sqrt, _exp, _ln = _total(math.sqrt), _total(math.exp), _total(math.log)
_ceil, _floor = _total(math.ceil), _total(math.floor)


def _terms(lo, hi):
    return range(int(hi - lo + 1) if hi - lo >= 0 else 0)


def _start(lo, hi):
    """What a sum starts with: NaN where its limits are undefined."""
    return 0.0 * (hi - lo)

"#;

/// What the modules in Python have of their own.
pub(super) struct Script {
    pub(super) kind: &'static str,
    pub(super) import: &'static str,
    pub(super) helpers: &'static str,
    /// A further parameter of every function.
    pub(super) option: &'static str,
    /// How a given value becomes an input.
    pub(super) convert: &'static str,
    /// How the model is called.
    pub(super) call: &'static str,
    /// Whether all constraints hold.
    pub(super) all: &'static str,
    /// Further functions.
    pub(super) more: &'static str,
}

impl Script {
    /// Helpers that are there only if they are called.
    fn special(&self) -> &'static [(&'static str, &'static str)] {
        if self.kind == "python" { &SPECIAL } else { &[] }
    }
}

struct Python;

impl Dialect for Python {
    fn language(&self) -> &'static str {
        "the Python export"
    }

    fn number(&self, value: f64) -> String {
        number(value)
    }

    fn divide(&self, a: &Text, b: &Text) -> Option<String> {
        let safe = b.text.parse().is_ok_and(|divisor: f64| divisor != 0.0);
        (!safe).then(|| format!("_div({}, {})", a.text, b.text))
    }

    fn call(&self, op: Op, operands: &[Text]) -> Option<Text> {
        let loose = |sign: &str| {
            let [a, b] = [&operands[0], &operands[1]].map(|operand| operand.at(Level::Sum));
            Some(Text::loose(format!("{a} {sign} {b}")))
        };
        match op {
            Op::PowInt | Op::Pow => call("_pow", operands),
            Op::Sqrt => call("_sqrt", operands),
            Op::Exp => call("_exp", operands),
            Op::Ln => call("_ln", operands),
            // The first where it is greater: `a > b ? a : b`.
            Op::Max => call("max", &[operands[1].clone(), operands[0].clone()]),
            Op::Min => call("min", &[operands[1].clone(), operands[0].clone()]),
            Op::Ceil => call("_ceil", operands),
            Op::Floor => call("_floor", operands),
            Op::And => loose("and"),
            Op::Or => loose("or"),
            Op::Not => Some(Text::loose(format!("not {}", operands[0].at(Level::Sum)))),
            Op::Select => {
                let [guard, yes, no] = [0, 1, 2].map(|at| operands[at].at(Level::Sum));
                Some(Text::loose(format!("{yes} if {guard} else {no}")))
            }
            _ => None,
        }
    }

    fn define(&self, name: &str, text: &str) -> String {
        format!("{name} = {text}")
    }

    fn sum(&self, sum: &Loop<'_>) -> (Vec<String>, Vec<String>) {
        let Loop { total, index, lo, hi, term, .. } = sum;
        let before = vec![
            format!("{total} = _start({lo}, {hi})"),
            format!("for {index} in _terms({lo}, {hi}):"),
            format!("    {index} = {lo} + {index}"),
        ];
        (before, vec![format!("    {total} += {term}")])
    }

    fn root(&self, root: &Loop<'_>) -> (Vec<String>, Vec<String>) {
        let Loop { total, function, lo, hi, .. } = root;
        called(root, format!("{total} = _fixed_point({function}, {lo}, {hi})"))
    }

    fn table(&self, name: &str, values: &[f64]) -> String {
        table(name, values)
    }

    fn entry(&self, table: &str, _: usize, index: &Text) -> Text {
        Text::atom(format!("_table({table}, {})", index.text))
    }
}

/// A body as a function of its index, and the line after it that calls it.
pub(super) fn called(body: &Loop<'_>, call: String) -> (Vec<String>, Vec<String>) {
    let Loop { function, index, term, .. } = body;
    (vec![format!("def {function}({index}):")], vec![format!("    return {term}"), call])
}

pub(super) fn table(name: &str, values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
    format!("{name} = [{}]", values.join(", "))
}

pub(super) fn call(function: &str, operands: &[Text]) -> Option<Text> {
    let operands: Vec<&str> = operands.iter().map(|operand| operand.text.as_str()).collect();
    Some(Text::atom(format!("{function}({})", operands.join(", "))))
}

pub(super) fn number(value: f64) -> String {
    if value.is_finite() {
        return format!("{value:?}");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}float(\"{}\")", if value.is_nan() { "nan" } else { "inf" })
}

impl Module {
    /// A Python module that computes the objective with nothing but the standard library.
    ///
    /// It has `evaluate(values)`, `violated(values)`, `feasible(values)`, `slacks(values)` (not
    /// negative where a constraint is met) and `parts(values)` (the named parts), each of a
    /// dictionary; what is not given has the module's own value.
    ///
    /// ```
    /// # use sglsim_expr::{Context, Module, Symbol, max};
    /// # let cx = Context::new();
    /// let tokens = cx.symbol(Symbol::int("tokens").at_least(0.0))?;
    /// let module = Module::new("read", "time", max(&tokens / 3, 2)).variable(&tokens);
    /// assert!(module.to_python()?.contains("return max(2.0, tokens / 3.0)"));
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What makes an expression invalid, or [`ExprError::Unsupported`].
    pub fn to_python(&self) -> Result<String, ExprError> {
        let script = Script {
            kind: "python",
            import: "import math\n",
            helpers: PYTHON_HELPERS,
            option: "",
            convert: "float(value)",
            call: "return model(*inputs)",
            all: "all(holds.values())",
            more: VIOLATED,
        };
        self.script(&Python, &script)
    }

    /// A module in one of the dialects of Python.
    pub(super) fn script(
        &self,
        dialect: &dyn Dialect,
        script: &Script,
    ) -> Result<String, ExprError> {
        let plan = Plan::new(self, dialect, Names::reserving(&[PYTHON, RESERVED].concat()), false)?;
        let helpers = script.helpers.to_owned() + &plan.helpers(script.special());
        let symbols = plan.symbols.iter();
        let listed = |symbols: &[crate::Symbol]| {
            let names: Vec<String> = symbols.iter().map(|symbol| quoted(&symbol.name)).collect();
            format!("[{}]", names.join(", "))
        };
        let written = |pairs: Vec<(String, &str)>| {
            let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
            dict(&pairs.map(|(name, text)| (name, quoted(text))).collect::<Vec<_>>())
        };
        let mut units: Vec<(String, &str)> =
            symbols.clone().map(|s| (s.name.clone(), s.unit.as_str())).collect();
        units.extend(plan.parts.iter().map(|part| (part.name.clone(), part.unit.as_str())));
        let mut docs: Vec<(String, &str)> =
            symbols.map(|s| (s.name.clone(), s.doc.as_str())).collect();
        docs.extend(plan.parts.iter().map(|part| (part.name.clone(), part.doc.as_str())));
        docs.extend(self.constraints.iter().map(|c| (c.name.clone(), c.doc.as_str())));
        docs.push((self.objective_name.clone(), self.doc.as_str()));
        let values: Vec<(String, String)> = self
            .values
            .iter()
            .map(|(name, value)| (name.to_owned(), python_number(value)))
            .collect();
        let result = |pairs: Vec<(&str, &str)>| {
            let pairs: Vec<String> =
                pairs.iter().map(|(name, text)| format!("{}: {text}", quoted(name))).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        let holds = self.constraints.iter().zip(&plan.holds);
        let holds = result(holds.map(|(c, text)| (c.name.as_str(), text.as_str())).collect());
        let pairs = plan.slacks.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let slacks = result(pairs.collect());
        let pairs = plan.parts.iter().map(|part| (part.name.as_str(), part.text.as_str()));
        let parts = result(pairs.collect());
        let doc = match self.doc.as_str() {
            "" => self.name.clone(),
            doc => format!("{}: {doc}", self.name),
        };
        let mut arguments = plan.arguments.clone();
        arguments.extend(script.option.strip_prefix(", ").map(str::to_owned));
        Ok(format!(
            include_str!("script.py.in"),
            doc = quoted(&doc),
            kind = script.kind,
            import = script.import,
            helpers = helpers,
            tables = plan.tables,
            arguments = arguments.join(", "),
            lines = plan.lines,
            objective = plan.objective,
            holds = holds,
            slacks = slacks,
            parts = parts,
            name = quoted(&self.objective_name),
            variables = listed(&plan.symbols[..plan.variables]),
            parameters = listed(&plan.symbols[plan.variables..]),
            values = dict(&values),
            units = written(units),
            descriptions = written(docs),
            option = script.option,
            convert = script.convert,
            call = script.call,
            pass = if script.option.is_empty() { "" } else { ", xp" },
            all = script.all,
            more = script.more,
        ))
    }
}

const VIOLATED: &str = r#"

def violated(given={}):
    """Names of the constraints that are not met."""
    return [name for name, holds in run(given)[1].items() if not holds]
"#;
