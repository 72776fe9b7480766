//! Loops as plain Python functions, for sums that have no closed form.
//!
//! Every operation is one line of local arithmetic. Lines of arms that are not chosen run too, so
//! divisions and functions go through helpers that return NaN where Python would raise.

use std::fmt::Write;

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

/// IEEE arithmetic for the loops: a part that is not chosen must not raise.
pub(super) const HELPERS: &str = r#"
def _total(operation):
    def call(*operands):
        try:
            value = operation(*operands)
            return value if isinstance(value, (int, float)) else math.nan
        except (ArithmeticError, ValueError):
            return math.nan
    return call


_div = _total(lambda a, b: a / b)
_pow = _total(lambda a, b: a**b)
_sqrt, _exp, _ln = _total(math.sqrt), _total(math.exp), _total(math.log)
_ceil, _floor = _total(math.ceil), _total(math.floor)
"#;

/// What the loops use of these.
pub(super) const SPECIAL: [(&str, &str); 3] =
    [("_table(", TABLE), ("_least(", LEAST), ("_fixed_point(", FIXED_POINT)];

const TABLE: &str = r"
_table = _total(lambda table, i: table[int(i)] if 0 <= i < len(table) else math.nan)
";

const LEAST: &str = r"

def _least(*choices):
    return min((value for value, feasible in choices if feasible), default=math.nan)
";

const FIXED_POINT: &str = r"

def _fixed_point(f, lo, hi):
    g = lambda x: x - f(x)
    a, b, below, above, last = lo, hi, g(lo), g(hi), 0
    if not (a <= b and below <= 0 <= above):
        return math.nan
    best, size = (a, -below) if -below <= above else (b, above)
    for step in range(300):
        if size == 0 or b - a <= 1e-15 * max(abs(a), abs(b)):
            break
        middle, secant = a + (b - a) / 2, a - below * ((b - a) / (above - below))
        x = secant if step % 3 != 2 and a < secant < b else middle
        if not a < x < b:
            break
        value = g(x)
        if math.isnan(value):
            return math.nan
        if abs(value) < size:
            best, size = x, abs(value)
        side = -1 if value < 0 else 1
        if side < 0:
            a, below, above = x, value, above / 2 if side == last else above
        else:
            b, above, below = x, value, below / 2 if side == last else below
        last = side
    return best
";

/// A sum as a Python function.
pub(super) struct LoopFunction {
    /// Its definition.
    pub(super) source: String,
    /// What to call it with: parts of the formula that do not change in the loop.
    pub(super) arguments: Vec<Id>,
}

struct Writer<'a> {
    arena: &'a Arena,
    lines: String,
    names: HashMap<Id, String>,
    arguments: Vec<Id>,
    locals: usize,
}

impl Arena {
    /// The function `name` that computes `id`, a sum, a fixed point or an entry of a table without a
    /// free index.
    pub(super) fn loop_function(&self, id: Id, name: &str) -> LoopFunction {
        let mut writer = Writer {
            arena: self,
            lines: String::new(),
            names: HashMap::default(),
            arguments: Vec::new(),
            locals: 0,
        };
        let result = writer.bound(id, 1, &mut Vec::new());
        let parameters: Vec<String> =
            (0..writer.arguments.len()).map(|at| format!("a{at}")).collect();
        let source = format!(
            "def {name}({}):\n{}    return {result}\n",
            parameters.join(", "),
            writer.lines
        );
        LoopFunction { source, arguments: writer.arguments }
    }
}

impl Writer<'_> {
    /// Writes what binds an index and returns the name of its value.
    fn bound(&mut self, id: Id, depth: usize, active: &mut Vec<u32>) -> String {
        match *self.arena.node(id) {
            Node::Sum { index, lo, hi, body } => {
                let (lo, hi) = (self.operand(lo), self.operand(hi));
                let (total, running) = (self.local("s"), self.local("i"));
                self.line(depth, &format!("{total} = 0"));
                self.line(depth, &format!("for {running} in range(int({lo}), int({hi}) + 1):"));
                let term = self.inside((index, &running), body, depth, active);
                self.line(depth + 1, &format!("{total} += {term}"));
                total
            }
            Node::FixedPoint { index, lo, hi, body } => {
                let (lo, hi) = (self.operand(lo), self.operand(hi));
                let (root, unknown) = (self.local("r"), self.local("x"));
                let function = self.local("f");
                self.line(depth, &format!("def {function}({unknown}):"));
                let value = self.inside((index, &unknown), body, depth, active);
                self.line(depth + 1, &format!("return {value}"));
                self.line(depth, &format!("{root} = _fixed_point({function}, {lo}, {hi})"));
                root
            }
            _ => {
                let text = self.text(&self.arena.shape(id));
                let name = self.local("t");
                self.line(depth, &format!("{name} = {text}"));
                name
            }
        }
    }

    /// Writes everything in a body that depends on its index, and returns the body's value.
    fn inside(
        &mut self,
        (index, running): (u32, &str),
        body: Id,
        depth: usize,
        active: &mut Vec<u32>,
    ) -> String {
        active.push(index);
        let arena = self.arena;
        let inside: Vec<Id> = arena
            .reachable_while(&[body], |node| arena.depends(node, index))
            .into_iter()
            .filter(|node| arena.free(arena.facts(*node).free).iter().all(|i| active.contains(i)))
            .collect();
        for node in &inside {
            let name = match arena.node(*node) {
                Node::Index(_) => running.to_owned(),
                Node::Sum { .. } | Node::FixedPoint { .. } => self.bound(*node, depth + 1, active),
                _ => {
                    let name = self.local("t");
                    let text = self.text(&arena.shape(*node));
                    self.line(depth + 1, &format!("{name} = {text}"));
                    name
                }
            };
            self.names.insert(*node, name);
        }
        let term = self.operand(body);
        for node in inside {
            self.names.remove(&node);
        }
        active.pop();
        term
    }

    fn line(&mut self, depth: usize, text: &str) {
        writeln!(self.lines, "{:width$}{text}", "", width = 4 * depth)
            .expect("writing to a string");
    }

    fn local(&mut self, prefix: &str) -> String {
        self.locals += 1;
        format!("{prefix}{}", self.locals)
    }

    /// A name or a literal; a part without a free index becomes an argument.
    fn operand(&mut self, id: Id) -> String {
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        match self.arena.node(id) {
            Node::Number(n) => literal(self.arena.number(*n)),
            Node::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            _ => {
                let at = self.arguments.iter().position(|argument| *argument == id);
                let at = at.unwrap_or_else(|| {
                    self.arguments.push(id);
                    self.arguments.len() - 1
                });
                format!("a{at}")
            }
        }
    }

    fn text(&mut self, node: &Node<Number>) -> String {
        match node {
            Node::Add { constant, terms } => {
                let mut parts = Vec::new();
                for (term, c) in terms {
                    let term = self.operand(*term);
                    parts.push(scaled(*c, term));
                }
                if !constant.is_zero() {
                    parts.push(literal(*constant));
                }
                parts.join(" + ")
            }
            Node::Mul { coefficient, factors } => self.product(*coefficient, factors),
            Node::Pow(a, b) => format!("_pow({}, {})", self.operand(*a), self.operand(*b)),
            Node::Exp(a) => format!("_exp({})", self.operand(*a)),
            Node::Ln(a) => format!("_ln({})", self.operand(*a)),
            Node::Max(list) => format!("max({})", self.joined(list, ", ")),
            Node::Min(list) => format!("min({})", self.joined(list, ", ")),
            Node::Ceil(a) => format!("_ceil({})", self.operand(*a)),
            Node::Floor(a) => format!("_floor({})", self.operand(*a)),
            Node::Le(a, b) => format!("{} <= {}", self.operand(*a), self.operand(*b)),
            Node::Lt(a, b) => format!("{} < {}", self.operand(*a), self.operand(*b)),
            Node::Eq(a, b) => format!("{} == {}", self.operand(*a), self.operand(*b)),
            Node::And(list) => self.joined(list, " and "),
            Node::Or(list) => self.joined(list, " or "),
            Node::Not(a) => format!("not {}", self.operand(*a)),
            Node::Piecewise { arms, otherwise } => {
                let mut text = String::new();
                for (guard, value) in arms {
                    let (guard, value) = (self.operand(*guard), self.operand(*value));
                    write!(text, "{value} if {guard} else ").expect("writing to a string");
                }
                text + &self.operand(*otherwise)
            }
            Node::MinOf(choices) => {
                let arms: Vec<String> = choices
                    .iter()
                    .map(|c| format!("({}, {})", self.operand(c.value), self.operand(c.guard)))
                    .collect();
                format!("_least({})", arms.join(", "))
            }
            Node::Assume { value, .. } => self.operand(*value),
            Node::Table { table, index } => {
                format!("_table(_table_{table}, {})", self.operand(*index))
            }
            Node::Number(_)
            | Node::Bool(_)
            | Node::Symbol(_)
            | Node::Index(_)
            | Node::Invalid(_)
            | Node::Sum { .. }
            | Node::FixedPoint { .. } => unreachable!("operands, loops and refused nodes"),
        }
    }

    /// Everything above the line, then one division by everything below it.
    fn product(&mut self, coefficient: Number, factors: &[(Id, Number)]) -> String {
        let (num, den) = coefficient.as_ratio().unwrap_or((1, 1));
        let (mut above, mut below) = (Vec::new(), Vec::new());
        if coefficient.is_float() {
            above.push(literal(coefficient));
        } else if num != 1 {
            above.push(format!("({num})"));
        }
        if den != 1 {
            below.push(den.to_string());
        }
        for (base, e) in factors {
            let base = self.operand(*base);
            let side = if e.is_negative() { &mut below } else { &mut above };
            let e = if e.is_negative() { e.neg() } else { *e };
            side.push(if e.is_one() {
                base
            } else if e == Number::HALF {
                format!("_sqrt({base})")
            } else {
                format!("_pow({base}, {})", literal(e))
            });
        }
        let above = if above.is_empty() { "1".to_owned() } else { above.join(" * ") };
        if below.is_empty() { above } else { format!("_div({above}, {})", below.join(" * ")) }
    }

    fn joined(&mut self, list: &[Id], separator: &str) -> String {
        list.iter().map(|id| self.operand(*id)).collect::<Vec<_>>().join(separator)
    }
}

fn scaled(c: Number, x: String) -> String {
    match c.as_ratio() {
        Some((1, 1)) => x,
        Some((num, 1)) => format!("({num}) * {x}"),
        Some((num, den)) => format!("({num}) * {x} / {den}"),
        None => format!("{} * {x}", literal(c)),
    }
}

/// A Python literal; negative ones and fractions in parentheses.
fn literal(n: Number) -> String {
    match n.as_ratio() {
        Some((num, 1)) if num >= 0 => num.to_string(),
        Some((num, 1)) => format!("({num})"),
        Some((num, den)) => format!("({num} / {den})"),
        None if n.is_negative() => format!("({n})"),
        None => n.to_string(),
    }
}
