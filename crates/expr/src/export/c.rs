//! C: one function of a struct of inputs.

use std::fmt::Write;

use super::listing::Names;
use super::plan::Plan;
use crate::tape::Op;
use crate::tape::source::{Dialect, Level, Loop, Text};
use crate::{ExprError, Module};

const RESERVED: &[&str] = &[
    "auto",
    "break",
    "case",
    "char",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "float",
    "for",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "register",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "void",
    "volatile",
    "while",
    "bool",
    "true",
    "false",
    "nullptr",
    "and",
    "or",
    "not",
    "xor",
    "class",
    "new",
    "delete",
    "this",
    "template",
    "operator",
    "private",
    "public",
    "in",
    "ceil",
    "floor",
    "pow",
    "sqrt",
    "exp",
    "log",
    "fabs",
    "NAN",
    "INFINITY",
    "main",
    "max_of",
    "min_of",
    "power_of",
    "terms_of",
    "start_of",
    "entry_of",
    "search",
    "search_of",
    "next_guess",
    "told",
    "terms",
    "asm",
    "typeof",
    "errno",
];

/// What every file has.
const HELPERS: &str = "\
static double max_of(double a, double b) { return a > b ? a : b; }
static double min_of(double a, double b) { return a < b ? a : b; }

static double power_of(double base, unsigned exponent)
{
    double product = 1.0;
    for (; exponent != 0; exponent >>= 1) {
        if (exponent & 1) product *= base;
        base *= base;
    }
    return product;
}

/* What a sum starts with: not a number where its limits are undefined or it has too many terms. */
static double start_of(double lo, double hi) { return hi - lo < 67108864.0 ? 0.0 : NAN; }
static double terms_of(double lo, double hi) { return hi - lo < 67108864.0 ? hi - lo + 1.0 : 0.0; }
";

/// What a file has if it uses the name.
const SPECIAL: [(&str, &str); 2] =
    [("entry_of(", ENTRY), ("search_of(", include_str!("helpers/search.c"))];

const ENTRY: &str = "
/* An entry of a table, not a number outside of it. */
static double entry_of(const double *table, unsigned length, double index)
{
    return index >= 0 && index < length && index == floor(index) ? table[(unsigned)index] : NAN;
}
";

struct C;

impl Dialect for C {
    fn language(&self) -> &'static str {
        "the C export"
    }

    fn number(&self, value: f64) -> String {
        if value.is_nan() {
            "NAN".to_owned()
        } else if value.is_infinite() {
            if value < 0.0 { "-INFINITY" } else { "INFINITY" }.to_owned()
        } else {
            format!("{value:?}")
        }
    }

    fn call(&self, op: Op, operands: &[Text]) -> Option<Text> {
        let call = |function: &str| {
            let operands: Vec<&str> = operands.iter().map(|o| o.text.as_str()).collect();
            Some(Text::atom(format!("{function}({})", operands.join(", "))))
        };
        let loose = |sign: &str| {
            let [a, b] = [&operands[0], &operands[1]].map(|operand| operand.at(Level::Sum));
            Some(Text::loose(format!("{a} {sign} {b}")))
        };
        match op {
            Op::PowInt => call("power_of"),
            Op::Pow => call("pow"),
            Op::Sqrt => call("sqrt"),
            Op::Exp => call("exp"),
            Op::Ln => call("log"),
            Op::Max => call("max_of"),
            Op::Min => call("min_of"),
            Op::Ceil => call("ceil"),
            Op::Floor => call("floor"),
            Op::And => loose("&&"),
            Op::Or => loose("||"),
            Op::Not => Some(Text::atom(format!("!{}", operands[0].at(Level::Atom)))),
            Op::Select => {
                let [guard, yes, no] = [0, 1, 2].map(|at| operands[at].at(Level::Sum));
                Some(Text::loose(format!("{guard} ? {yes} : {no}")))
            }
            _ => None,
        }
    }

    fn define(&self, name: &str, text: &str) -> String {
        format!("const double {name} = {text};")
    }

    fn sum(&self, sum: &Loop<'_>) -> (Vec<String>, Vec<String>) {
        let Loop { total, index, lo, hi, term, .. } = sum;
        let before = vec![
            format!("double {total} = start_of({lo}, {hi});"),
            format!("for (double n_{index} = 0; n_{index} < terms_of({lo}, {hi}); n_{index}++) {{"),
            format!("    const double {index} = {lo} + n_{index};"),
        ];
        (before, vec![format!("    {total} += {term};"), "}".to_owned()])
    }

    fn root(&self, root: &Loop<'_>) -> (Vec<String>, Vec<String>) {
        let Loop { total, function: search, index, lo, hi, term, .. } = root;
        let before = vec![
            format!("struct search {search} = search_of({lo}, {hi});"),
            format!("while (next_guess(&{search})) {{"),
            format!("    const double {index} = {search}.at;"),
        ];
        let after = vec![
            format!("    told(&{search}, {index} - {term});"),
            "}".to_owned(),
            format!("const double {total} = {search}.best;"),
        ];
        (before, after)
    }

    fn table(&self, name: &str, values: &[f64]) -> String {
        let list: Vec<String> = values.iter().map(|value| self.number(*value)).collect();
        format!("static const double {name}[{}] = {{{}}};", values.len(), list.join(", "))
    }

    fn entry(&self, table: &str, length: usize, index: &Text) -> Text {
        Text::atom(format!("entry_of({table}, {length}, {})", index.text))
    }
}

impl Module {
    /// C99 source without dependencies but the mathematical library: a struct of inputs with the
    /// module's own values, a function for the objective, and one for the constraints.
    ///
    /// Compile it without contraction (`-ffp-contract=off`) to get the values of
    /// [`Module::evaluate`].
    ///
    /// ```
    /// # use sglsim_expr::{Context, Module, Symbol, Values, max};
    /// # let cx = Context::new();
    /// let tokens = cx.symbol(Symbol::int("tokens").at_least(0.0))?;
    /// let module = Module::new("read", "time", max(&tokens / 3, 2)).variable(&tokens);
    /// assert!(module.to_c()?.contains("return max_of(tokens / 3.0, 2.0);"));
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Module::to_python`].
    pub fn to_c(&self) -> Result<String, ExprError> {
        let mut reserved = Names::reserving(RESERVED);
        let prefix = reserved.claim(&ascii(&self.name));
        let plan = Plan::new(self, &C, reserved, true)?;
        let doc = match self.doc.as_str() {
            "" => self.name.clone(),
            doc => format!("{}: {doc}", self.name),
        };
        let mut out = format!("/* {} */\n#include <math.h>\n\n", comment(&doc));
        let mut values = String::new();
        let mut locals = String::new();
        writeln!(out, "struct {prefix}_inputs {{").expect("writing to a string");
        for (symbol, name) in plan.symbols.iter().zip(&plan.arguments) {
            let text = comment(&format!("[{}] {}", symbol.unit, symbol.doc));
            writeln!(out, "    double {name}; /* {} */", text.trim_end())
                .expect("writing to a string");
            let value = self.values.get(&symbol.name).map_or("NAN".to_owned(), |v| C.number(v));
            writeln!(values, "    .{name} = {value},").expect("writing to a string");
            writeln!(locals, "    const double {name} = in->{name};").expect("writing to a string");
        }
        if plan.symbols.is_empty() {
            // C has no empty structs.
            writeln!(out, "    char none;").expect("writing to a string");
            writeln!(values, "    .none = 0,").expect("writing to a string");
        }
        let unused = |names: &[String]| {
            let unused: Vec<String> = names.iter().map(|name| format!("(void){name};")).collect();
            format!("    (void)in; {}\n", unused.join(" "))
        };
        let special = plan.helpers(&SPECIAL);
        let silence = unused(&plan.arguments);
        write!(
            out,
            "}};\n\n/* The module's own values; NAN where it has none. */\n\
             const struct {prefix}_inputs {prefix}_values = {{\n{values}}};\n\n{HELPERS}{special}\n{tables}\
             /* {name} */\n\
             double {prefix}(const struct {prefix}_inputs *in)\n{{\n{locals}{silence}{lines}    \
             return {objective};\n}}\n\n\
             /* The number of the first constraint that is not met, from 1, or 0:\n{constraints}*/\n\
             int {prefix}_violated(const struct {prefix}_inputs *in)\n{{\n{locals}{silence}{lines}\
             {checks}    return 0;\n}}\n",
            name = comment(&format!("{}.", self.objective_name)),
            tables = plan.tables,
            lines = plan.lines,
            objective = plan.objective,
            constraints = self
                .constraints
                .iter()
                .enumerate()
                .map(|(at, c)| {
                    let text = comment(&format!("{} {}: {}", at + 1, c.name, c.doc));
                    format!("   {text}\n")
                })
                .collect::<String>(),
            checks = plan
                .holds
                .iter()
                .enumerate()
                .map(|(at, holds)| format!("    if (!({holds})) return {};\n", at + 1))
                .collect::<String>(),
        )
        .expect("writing to a string");
        Ok(out)
    }
}

/// Text inside a comment.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace('\n', " ")
}

fn ascii(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
