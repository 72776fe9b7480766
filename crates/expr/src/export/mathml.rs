//! Content MathML: a list of equations, one for each named part, the objective and the constraints.

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::export::listing::{Uses, index_names};
use crate::module::Roots;
use crate::node::{Choice, Id, Node};
use crate::number::Number;
use crate::{Expr, ExprError, Module};

impl Module {
    /// The formula as content MathML: a `list` with an equation for each named part and table, for
    /// the objective, and with the constraints. A large part within a sum or a fixed point is a
    /// function of the index.
    ///
    /// A kernel that cannot be used counts as infinite. A fixed point, which MathML has no element
    /// for, is the `csymbol` `fixed_point` of a bound variable, an interval and a body.
    ///
    /// ```
    /// # use sglsim_expr::{Context, Module, Symbol, ceil};
    /// # let cx = Context::new();
    /// let n = cx.symbol(Symbol::int("n").at_least(0.0))?;
    /// let mathml = Module::new("pages", "pages", ceil(&n / 16)).to_mathml()?;
    /// assert!(mathml.contains("<apply><ceiling/><apply><divide/><ci>n</ci>"));
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Module::to_json`].
    pub fn to_mathml(&self) -> Result<String, ExprError> {
        let (cx, roots) = self.roots()?;
        Ok(cx.lock().mathml(&self.objective_name, &roots))
    }
}

impl Expr {
    /// Content MathML: as [`Module::to_mathml`], of this expression alone.
    ///
    /// # Errors
    ///
    /// What makes the expression invalid.
    pub fn to_mathml(&self) -> Result<String, ExprError> {
        Module::around(self).to_mathml()
    }
}

struct Writer<'a> {
    arena: &'a Arena,
    indices: HashMap<u32, String>,
    parts: HashMap<Id, String>,
}

impl Arena {
    fn mathml(&self, objective_name: &str, roots: &Roots) -> String {
        let uses = Uses::of(self, &roots.all());
        let indices = index_names(self, &roots.all());
        let mut writer = Writer { arena: self, indices, parts: HashMap::default() };
        let mut lines = Vec::new();
        let mut tables = Vec::new();
        for id in self.reachable(&roots.all()) {
            let node = self.shape(id);
            if let Node::Table { table, .. } = node
                && !tables.contains(&table)
            {
                tables.push(table);
                let values = self.tables[table as usize].iter();
                let values: String = values.map(|value| number(Number::float(*value))).collect();
                lines.push(equation(&table_name(table), &format!("<vector>{values}</vector>")));
            }
            let text = writer.write(&node);
            let part = if id != roots.objective && uses.deserves_equation(self, id, text.len()) {
                let label = self.label(id).map_or(format!("t{}", id.0), |label| label.name.clone());
                let free = self.free(self.facts(id).free).iter();
                let free: String = free.map(|at| ci(&writer.indices[at])).collect();
                let label = match free.as_str() {
                    "" => ci(&label),
                    free => format!("<apply>{}{free}</apply>", ci(&label)),
                };
                lines.push(equation(&label, &text));
                label
            } else {
                text
            };
            writer.parts.insert(id, part);
        }
        lines.push(equation(&ci(objective_name), &writer.parts[&roots.objective]));
        lines.extend(roots.constraints.iter().map(|id| writer.parts[id].clone()));
        format!(
            "<math xmlns=\"http://www.w3.org/1998/Math/MathML\"><list>\n{}\n</list></math>\n",
            lines.join("\n")
        )
    }
}

impl Writer<'_> {
    fn write(&self, node: &Node<Number>) -> String {
        let of = |id: &Id| self.parts[id].as_str();
        let list =
            |operator: &str, ids: &[Id]| apply(operator, &ids.iter().map(of).collect::<String>());
        match node {
            Node::Number(n) => number(*n),
            Node::Bool(value) => if *value { "<true/>" } else { "<false/>" }.to_owned(),
            Node::Symbol(at) => ci(&self.arena.symbols[*at as usize].name),
            Node::Index(at) => ci(&self.indices[at]),
            Node::Invalid(_) => "<notanumber/>".to_owned(),
            Node::Add { constant, terms } => {
                let mut parts: Vec<String> = terms
                    .iter()
                    .map(|(term, c)| self.product(*c, &[(*term, Number::ONE)]))
                    .collect();
                if !constant.is_zero() {
                    parts.push(number(*constant));
                }
                several("plus", &parts)
            }
            Node::Mul { coefficient, factors } => self.product(*coefficient, factors),
            Node::Pow(a, b) => list("power", &[*a, *b]),
            Node::Exp(a) => list("exp", &[*a]),
            Node::Ln(a) => list("ln", &[*a]),
            Node::Max(ids) => list("max", ids),
            Node::Min(ids) => list("min", ids),
            Node::Ceil(a) => list("ceiling", &[*a]),
            Node::Floor(a) => list("floor", &[*a]),
            Node::Le(a, b) => list("leq", &[*a, *b]),
            Node::Lt(a, b) => list("lt", &[*a, *b]),
            Node::Eq(a, b) => list("eq", &[*a, *b]),
            Node::And(ids) => list("and", ids),
            Node::Or(ids) => list("or", ids),
            Node::Not(a) => list("not", &[*a]),
            Node::Piecewise { arms, otherwise } => {
                let pieces = arms.iter().map(|(guard, value)| piece(of(value), of(guard)));
                piecewise(&pieces.collect::<String>(), of(otherwise))
            }
            Node::MinOf(choices) => {
                let choice = |choice: &Choice| match self.arena.always(choice.guard) {
                    true => of(&choice.value).to_owned(),
                    false => piecewise(&piece(of(&choice.value), of(&choice.guard)), "<infinity/>"),
                };
                several("min", &choices.iter().map(choice).collect::<Vec<_>>())
            }
            Node::Assume { value, .. } => of(value).to_owned(),
            // A selector counts from 1.
            Node::Table { table, index } => {
                let index = apply("plus", &format!("{}{}", of(index), number(Number::ONE)));
                apply("selector", &(table_name(*table) + &index))
            }
            Node::Sum { index, lo, hi, body } => {
                let index = bound(&self.indices[index]);
                let (lo, hi, body) = (of(lo), of(hi), of(body));
                let limits = format!("<lowlimit>{lo}</lowlimit><uplimit>{hi}</uplimit>");
                apply("sum", &format!("{index}{limits}{body}"))
            }
            Node::FixedPoint { index, lo, hi, body } => {
                let index = bound(&self.indices[index]);
                let (lo, hi, body) = (of(lo), of(hi), of(body));
                let range = format!("<interval>{lo}{hi}</interval>");
                format!("<apply><csymbol>fixed_point</csymbol>{index}{range}{body}</apply>")
            }
        }
    }

    fn product(&self, coefficient: Number, factors: &[(Id, Number)]) -> String {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        match coefficient.as_ratio() {
            Some((num, den)) => {
                if num != 1 {
                    above.push(number(Number::ratio(num, 1)));
                }
                if den != 1 {
                    below.push(number(Number::ratio(den, 1)));
                }
            }
            None => above.push(number(coefficient)),
        }
        for (base, e) in factors {
            let base = &self.parts[base];
            let side = if e.is_negative() { &mut below } else { &mut above };
            let e = if e.is_negative() { e.neg() } else { *e };
            side.push(if e.is_one() {
                base.clone()
            } else if e == Number::HALF {
                apply("root", base)
            } else {
                apply("power", &format!("{base}{}", number(e)))
            });
        }
        if above.is_empty() {
            above.push(number(Number::ONE));
        }
        let above = several("times", &above);
        if below.is_empty() { above } else { apply("divide", &(above + &several("times", &below))) }
    }
}

/// An operation on several operands, which a single one is by itself.
fn several(operator: &str, operands: &[String]) -> String {
    if let [only] = operands { only.clone() } else { apply(operator, &operands.concat()) }
}

fn apply(operator: &str, operands: &str) -> String {
    format!("<apply><{operator}/>{operands}</apply>")
}

fn equation(left: &str, right: &str) -> String {
    apply("eq", &format!("{left}{right}"))
}

fn piece(value: &str, guard: &str) -> String {
    format!("<piece>{value}{guard}</piece>")
}

fn piecewise(pieces: &str, otherwise: &str) -> String {
    format!("<piecewise>{pieces}<otherwise>{otherwise}</otherwise></piecewise>")
}

fn bound(index: &str) -> String {
    format!("<bvar>{}</bvar>", ci(index))
}

fn table_name(table: u32) -> String {
    ci(&format!("table {table}"))
}

fn ci(name: &str) -> String {
    let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<ci>{name}</ci>")
}

fn number(n: Number) -> String {
    match n.as_ratio() {
        Some((num, 1)) => format!("<cn type=\"integer\">{num}</cn>"),
        Some((num, den)) => format!("<cn type=\"rational\">{num}<sep/>{den}</cn>"),
        None => match n.to_string().split_once('e') {
            Some((digits, e)) => format!("<cn type=\"e-notation\">{digits}<sep/>{e}</cn>"),
            None => format!("<cn type=\"real\">{n}</cn>"),
        },
    }
}
