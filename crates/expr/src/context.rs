//! The context in which expressions live.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::{Expr, ExprError, Number, Symbol};

/// A pool of expressions that share their common parts. Cheap to clone; clones are the same pool.
///
/// Within one context, equal expressions are one node, so comparing is comparing ids. Operands of
/// another context are copied in where they meet.
///
/// ```
/// use sglsim_expr::{Context, Symbol};
/// let cx = Context::new();
/// let x = cx.symbol(Symbol::real("x"))?;
/// assert_eq!(&x + 1, 1 + &x);
/// assert_eq!(cx.symbol(Symbol::real("x"))?, x);
/// assert!(cx.symbol(Symbol::int("x")).is_err());
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone)]
pub struct Context(Arc<Mutex<Arena>>);

impl Context {
    /// An empty context.
    #[must_use]
    pub fn new() -> Context {
        Context(Arc::new(Mutex::new(Arena::new())))
    }

    /// Declares a symbol. The same declaration again returns the same expression.
    ///
    /// # Errors
    ///
    /// [`ExprError::ConflictingSymbol`] if the name was declared differently before;
    /// [`ExprError::InvalidSymbol`] for an unusable name or an empty domain.
    pub fn symbol(&self, symbol: Symbol) -> Result<Expr, ExprError> {
        let id = self.lock().declare(symbol)?;
        Ok(self.expr(id))
    }

    /// A new running index for [`sum`](crate::sum). Each call makes another, whatever its name.
    #[must_use]
    pub fn index(&self, name: &str) -> Expr {
        let id = self.lock().new_index(name);
        self.expr(id)
    }

    /// A new unknown for [`fixed_point`](crate::fixed_point), a real number.
    #[must_use]
    pub fn unknown(&self, name: &str) -> Expr {
        let id = self.lock().new_unknown(name);
        self.expr(id)
    }

    /// A constant. Integers are exact; NaN and infinity make an invalid expression.
    #[must_use]
    pub fn constant(&self, value: impl Into<Number>) -> Expr {
        let id = self.lock().make_number("constant", value.into());
        self.expr(id)
    }

    /// A constant, checked at once.
    ///
    /// # Errors
    ///
    /// [`ExprError::NotFinite`] for NaN and infinity.
    pub fn try_constant(&self, value: impl Into<Number>) -> Result<Expr, ExprError> {
        let constant = self.constant(value);
        constant.check()?;
        Ok(constant)
    }

    /// True or false.
    #[must_use]
    pub fn truth(&self, value: bool) -> Expr {
        let id = self.lock().truth(value);
        self.expr(id)
    }

    /// All symbols declared so far, in order.
    #[must_use]
    pub fn symbols(&self) -> Vec<Symbol> {
        self.lock().symbols.clone()
    }

    /// Whether both are the same pool.
    #[must_use]
    pub fn is(&self, other: &Context) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn expr(&self, id: Id) -> Expr {
        Expr { cx: self.clone(), id }
    }

    /// The arena, for one operation. It is append-only, so a panic elsewhere cannot have torn it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Arena> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of expressions in this context; those of another are copied in.
    pub(crate) fn adopt(&self, exprs: &[&Expr]) -> Vec<Id> {
        exprs
            .iter()
            .map(|expr| if self.is(&expr.cx) { expr.id } else { self.import(expr) })
            .collect()
    }

    fn import(&self, expr: &Expr) -> Id {
        // Lock in address order: two threads may import crosswise.
        let (first, second) = if Arc::as_ptr(&self.0) < Arc::as_ptr(&expr.cx.0) {
            (self, &expr.cx)
        } else {
            (&expr.cx, self)
        };
        let (mut a, mut b) = (first.lock(), second.lock());
        let (target, source) = if first.is(self) { (&mut *a, &*b) } else { (&mut *b, &*a) };
        target.import(source, expr.id)
    }
}

impl Arena {
    /// Copies an expression of another arena, with its symbols, indices, names and errors.
    fn import(&mut self, source: &Arena, root: Id) -> Id {
        let declare = |arena: &mut Arena, symbol: &Symbol| {
            arena.declare(symbol.clone()).unwrap_or_else(|error| arena.invalid(error))
        };
        self.import_with(source, &[root], &mut HashMap::default(), declare)[0]
    }

    /// As [`Arena::import`], with `symbol` deciding what stands for a symbol. `indices` are those
    /// that stand for the source's, and get the new ones.
    pub(crate) fn import_with(
        &mut self,
        source: &Arena,
        roots: &[Id],
        indices: &mut HashMap<u32, Id>,
        symbol: impl Fn(&mut Arena, &Symbol) -> Id,
    ) -> Vec<Id> {
        let mut done: HashMap<Id, Id> = HashMap::default();
        for id in source.reachable(roots) {
            let new = match source.shape(id) {
                Node::Symbol(at) => symbol(self, &source.symbols[at as usize]),
                Node::Index(at) => self.import_index(source, at, indices),
                Node::Invalid(at) => self.invalid(source.errors[at as usize].clone()),
                Node::Sum { index, lo, hi, body } => {
                    let index = self.import_index(source, index, indices);
                    self.sum_over(index, done[&lo], done[&hi], done[&body])
                }
                Node::FixedPoint { index, lo, hi, body } => {
                    let index = self.import_index(source, index, indices);
                    self.fixed_point_of(index, done[&lo], done[&hi], done[&body])
                }
                Node::Table { table, index } => {
                    let table = self.register_table(&source.tables[table as usize]);
                    self.table(table, done[&index])
                }
                shape => self.build(shape.map(|child| done[&child], |number| *number)),
            };
            if let Some(label) = source.label(id) {
                self.set_label(new, label.clone());
            }
            self.note(new, source.known(id));
            done.insert(id, new);
        }
        roots.iter().map(|root| done[root]).collect()
    }

    fn import_index(&mut self, source: &Arena, at: u32, seen: &mut HashMap<u32, Id>) -> Id {
        let name = &source.indices[at as usize];
        *seen.entry(at).or_insert_with(|| match source.is_unknown(at) {
            true => self.new_unknown(name),
            false => self.new_index(name),
        })
    }

    /// [`Arena::sum`] with the index as an expression.
    pub(crate) fn sum_over(&mut self, index: Id, lo: Id, hi: Id, body: Id) -> Id {
        match *self.node(index) {
            Node::Index(at) if !self.is_unknown(at) => self.sum(at, lo, hi, body),
            Node::Invalid(_) => index,
            _ => {
                let operand = self.text(index, 80);
                self.invalid(ExprError::NotAnIndex { operand })
            }
        }
    }
}

impl Default for Context {
    fn default() -> Context {
        Context::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&*self.lock()).finish()
    }
}
