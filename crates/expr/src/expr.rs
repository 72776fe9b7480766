//! The handle on an expression: what can be asked of it.

use std::fmt;

use sglsim_units::{HashMap, Nearest};

use crate::arena::Label;
use crate::build::{Comparison, Connective};
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::{Context, Dimension, ExprError, Number, Operand, Program, Sort, Symbol, Values};

/// An expression: a node of a [`Context`]. Cheap to clone.
///
/// Two expressions are equal if they are the same node of the same context, which they are as soon
/// as their normal forms agree.
#[derive(Clone)]
pub struct Expr {
    pub(crate) cx: Context,
    pub(crate) id: Id,
}

impl Expr {
    /// The context it lives in.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// Whether it is a truth value, an integer or a real number, as far as is proven.
    #[must_use]
    pub fn sort(&self) -> Sort {
        self.cx.lock().sort(self.id)
    }

    /// Proven least and greatest value on the domains of its symbols; infinite where unknown.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        let arena = self.cx.lock();
        let facts = arena.facts(self.id);
        (facts.lo, facts.hi)
    }

    /// What it measures, as far as it is known from the units of its symbols.
    ///
    /// `None` for a number, and for what may stand for several dimensions.
    #[must_use]
    pub fn dimension(&self) -> Option<Dimension> {
        self.cx.lock().known(self.id).dimension()
    }

    /// Its value, if it is a constant.
    #[must_use]
    pub fn as_constant(&self) -> Option<Number> {
        self.cx.lock().constant(self.id)
    }

    /// How many distinct nodes it is made of.
    #[must_use]
    pub fn size(&self) -> usize {
        self.cx.lock().reachable(&[self.id]).len()
    }

    /// Whether it was built from valid parts.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong while building it.
    pub fn check(&self) -> Result<(), ExprError> {
        self.cx.lock().error(self.id).map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The comparison `self ≤ other`.
    #[must_use]
    pub fn le(&self, other: impl Into<Operand>) -> Expr {
        self.compare(Comparison::Le, other.into(), false)
    }

    /// The comparison `self < other`.
    #[must_use]
    pub fn lt(&self, other: impl Into<Operand>) -> Expr {
        self.compare(Comparison::Lt, other.into(), false)
    }

    /// The comparison `self ≥ other`.
    #[must_use]
    pub fn ge(&self, other: impl Into<Operand>) -> Expr {
        self.compare(Comparison::Le, other.into(), true)
    }

    /// The comparison `self > other`.
    #[must_use]
    pub fn gt(&self, other: impl Into<Operand>) -> Expr {
        self.compare(Comparison::Lt, other.into(), true)
    }

    /// The comparison `self = other`, as an expression.
    #[must_use]
    pub fn equals(&self, other: impl Into<Operand>) -> Expr {
        self.compare(Comparison::Eq, other.into(), false)
    }

    fn compare(&self, kind: Comparison, other: Operand, swap: bool) -> Expr {
        let other = other.in_context(&self.cx);
        let (a, b) = if swap { (other, self.id) } else { (self.id, other) };
        let id = self.cx.lock().checked_comparison(kind, a, b);
        self.cx.expr(id)
    }

    /// Whether both hold.
    #[must_use]
    pub fn and(&self, other: &Expr) -> Expr {
        self.connect(Connective::And, other)
    }

    /// Whether either holds.
    #[must_use]
    pub fn or(&self, other: &Expr) -> Expr {
        self.connect(Connective::Or, other)
    }

    fn connect(&self, kind: Connective, other: &Expr) -> Expr {
        let other = self.cx.adopt(&[other])[0];
        let id = self.cx.lock().connect(kind, &[self.id, other]);
        self.cx.expr(id)
    }

    /// Whether it does not hold.
    #[must_use]
    pub fn not(&self) -> Expr {
        let id = self.cx.lock().not(self.id);
        self.cx.expr(id)
    }

    /// `self` to the power of `exponent`. The base must be positive unless the exponent is an
    /// integer constant.
    #[must_use]
    pub fn pow(&self, exponent: impl Into<Operand>) -> Expr {
        let exponent = exponent.into().in_context(&self.cx);
        let id = self.cx.lock().checked_power(self.id, exponent);
        self.cx.expr(id)
    }

    /// Names this expression, with the unit and meaning of its value.
    ///
    /// The name survives simplification and substitution, and becomes a name in every export. It
    /// belongs to the node: naming it again keeps the first name, and constants and symbols keep
    /// their own. Name a part before building on it, or a sum may already be merged into another.
    ///
    /// The unit is checked against the parts, and settles the dimension of what numbers stand for
    /// in them. A wrong one makes an invalid expression; `""` says nothing.
    #[must_use]
    pub fn named(
        &self,
        name: impl Into<String>,
        unit: impl Into<String>,
        doc: impl Into<String>,
    ) -> Expr {
        let label = Label { name: name.into(), unit: unit.into(), doc: doc.into() };
        let mut arena = self.cx.lock();
        if let Err(error) = arena.settle(self.id, &label.unit) {
            let id = arena.invalid(error);
            return self.cx.expr(id);
        }
        arena.set_label(self.id, label);
        self.clone()
    }

    /// The name it was given, if any.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let arena = self.cx.lock();
        match self.cx_symbol(&arena) {
            Some(symbol) => Some(symbol.name.clone()),
            None => arena.label(self.id).map(|label| label.name.clone()),
        }
    }

    /// The declaration, if it is a symbol.
    #[must_use]
    pub fn as_symbol(&self) -> Option<Symbol> {
        let arena = self.cx.lock();
        self.cx_symbol(&arena).cloned()
    }

    fn cx_symbol<'a>(&self, arena: &'a crate::arena::Arena) -> Option<&'a Symbol> {
        match arena.node(self.id) {
            Node::Symbol(at) => Some(&arena.symbols[*at as usize]),
            _ => None,
        }
    }

    /// Replaces expressions, usually symbols, all at once. What is put in is not searched again.
    #[must_use]
    pub fn substitute(&self, replacements: &[(&Expr, Expr)]) -> Expr {
        let mut map = HashMap::default();
        for (old, new) in replacements {
            let ids = self.cx.adopt(&[old, new]);
            map.insert(ids[0], ids[1]);
        }
        let id = self.cx.lock().rebuild(&[self.id], &map)[0];
        self.cx.expr(id)
    }

    /// Replaces symbols by constants. Names without a symbol here are ignored.
    ///
    /// An integer becomes an exact constant, anything else a float. A value outside its symbol's
    /// domain makes the expression invalid, with [`ExprError::OutOfDomain`].
    #[must_use]
    pub fn bind(&self, values: &Values) -> Expr {
        let mut arena = self.cx.lock();
        let mut map = HashMap::default();
        for id in arena.reachable(&[self.id]) {
            let Node::Symbol(at) = *arena.node(id) else { continue };
            let symbol = &arena.symbols[at as usize];
            let Some(value) = values.get(&symbol.name) else { continue };
            let bound = match symbol.check(value) {
                Err(error) => arena.invalid(error),
                Ok(()) if symbol.sort == Sort::Bool => arena.truth(value != 0.0),
                Ok(()) if symbol.sort == Sort::Int && value.abs() < 9e15 => {
                    arena.make_number("bind", Number::from(value as i64))
                }
                Ok(()) => arena.make_number("bind", Number::from(value)),
            };
            map.insert(id, bound);
        }
        let id = arena.rebuild(&[self.id], &map)[0];
        drop(arena);
        self.cx.expr(id)
    }

    /// The symbols it depends on, in order of declaration.
    #[must_use]
    pub fn free_symbols(&self) -> Vec<Symbol> {
        let symbols = self.cx.lock().symbols_of(&Roots::single(self));
        symbols.into_iter().map(|(_, symbol)| symbol).collect()
    }

    /// The value at a point. Values of symbols that do not occur are ignored.
    ///
    /// To evaluate at many points, [`Expr::compile`] once.
    ///
    /// # Errors
    ///
    /// [`ExprError::Unbound`] if a symbol has no value, [`ExprError::OutOfDomain`] if one is outside
    /// its domain, [`ExprError::Undefined`] if the result is not a finite number,
    /// [`ExprError::TooManyTerms`] if its sums run too long, or what makes the expression invalid.
    pub fn evaluate(&self, values: &Values) -> Result<f64, ExprError> {
        self.check()?;
        let symbols = self.free_symbols();
        let mut missing = Vec::new();
        let mut inputs = Vec::with_capacity(symbols.len());
        for symbol in &symbols {
            match values.get(&symbol.name) {
                None => missing.push(symbol.name.clone()),
                Some(value) => {
                    symbol.check(value)?;
                    inputs.push(value);
                }
            }
        }
        if let Some(first) = missing.first() {
            let hint = Nearest::to(first, values.names());
            let bound = values.names().map(str::to_owned).collect();
            return Err(ExprError::Unbound { missing, bound, hint });
        }
        let names: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        self.compile(&names)?.evaluator().evaluate(&inputs)
    }

    /// Compiles it to a function of the named symbols.
    ///
    /// # Errors
    ///
    /// [`ExprError::Unbound`] if it depends on a symbol that is not among `inputs`, or what makes
    /// the expression invalid.
    pub fn compile(&self, inputs: &[&str]) -> Result<Program, ExprError> {
        Program::compile(&[self], inputs)
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.id == other.id && self.cx.is(&other.cx)
    }
}

impl Eq for Expr {}

/// Readable text, cut after a few thousand characters.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.cx.lock().text(self.id, 4000))
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.cx.lock().text(self.id, 200))
    }
}
