//! A box: where the symbols of an analysis are.

use std::collections::BTreeMap;
use std::fmt;

use sglsim_units::{HashMap, Nearest};

use crate::arena::Arena;
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{Context, ExprError, Interval, Sort, Symbol};

/// Ranges of symbols, by name. A symbol without one has its whole domain.
///
/// ```
/// use sglsim_expr::{Bounds, Interval};
/// let bounds = Bounds::from([("tp", (2.0, 4.0))]).with("chunk", 512.0, 4096.0);
/// assert_eq!(bounds.get("tp"), Some(Interval::new(2.0, 4.0)));
/// assert_eq!(bounds.to_string(), "chunk in [512, 4096], tp in [2, 4]");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds(BTreeMap<String, Interval>);

impl Bounds {
    /// Every symbol in its whole domain.
    #[must_use]
    pub fn new() -> Bounds {
        Bounds::default()
    }

    /// Adds or replaces one range.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, lo: f64, hi: f64) -> Bounds {
        self.0.insert(name.into(), Interval::new(lo, hi));
        self
    }

    /// The range of `name`, if it was given one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Interval> {
        self.0.get(name).copied()
    }

    /// Names and ranges, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Interval)> {
        self.0.iter().map(|(name, range)| (name.as_str(), *range))
    }

    /// A symbol's values inside the box.
    pub(crate) fn of(&self, symbol: &Symbol) -> Result<Interval, ExprError> {
        let (mut lo, mut hi) = symbol.range();
        if let Some(range) = self.get(&symbol.name) {
            (lo, hi) = (lo.max(range.lo), hi.min(range.hi));
            if symbol.sort != Sort::Real {
                (lo, hi) = (lo.ceil(), hi.floor());
            }
            // NaN is no bound.
            if lo > hi || range.lo.is_nan() || range.hi.is_nan() {
                return Err(ExprError::EmptyRange { lo: range.lo, hi: range.hi });
            }
        }
        Ok(Interval { lo, hi })
    }
}

impl<S: Into<String>, const N: usize> From<[(S, (f64, f64)); N]> for Bounds {
    fn from(ranges: [(S, (f64, f64)); N]) -> Bounds {
        ranges.into_iter().fold(Bounds::new(), |bounds, (name, (lo, hi))| bounds.with(name, lo, hi))
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, Interval { lo, hi })) in self.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { ", " })?;
            write!(f, "{name} in [{lo}, {hi}]")?;
        }
        Ok(())
    }
}

impl Context {
    /// Expressions in a context of their own, with the symbols' domains narrowed to a box; a symbol
    /// with one value is that value.
    ///
    /// The indices of sums are given the range of their limits too: the second copy knows what the
    /// first one found.
    pub(crate) fn narrowed(
        &self,
        roots: &Roots,
        bounds: &Bounds,
    ) -> Result<(Context, Vec<Id>), ExprError> {
        let source = self.lock();
        let symbols = source.symbols_of(roots);
        let known = || symbols.iter().map(|(_, symbol)| symbol.name.as_str());
        if let Some((name, _)) = bounds.iter().find(|(name, _)| known().all(|k| k != *name)) {
            let hint = Nearest::to(name, known());
            return Err(ExprError::UnknownSymbol { name: name.to_owned(), hint });
        }
        let mut ranges: HashMap<&str, Interval> = HashMap::default();
        for (_, symbol) in &symbols {
            ranges.insert(&symbol.name, bounds.of(symbol)?);
        }
        let copy = |limits: &BTreeMap<u32, Interval>| {
            let cx = Context::new();
            let mut arena = cx.lock();
            let mut indices = HashMap::default();
            for (at, Interval { lo, hi }) in limits {
                let name = &source.indices[*at as usize];
                let id = arena.new_ranged(name, source.is_unknown(*at), (*lo, *hi));
                indices.insert(*at, id);
            }
            let ids = arena.import_with(&source, &roots.all(), &mut indices, |arena, symbol| {
                arena.narrowed_symbol(symbol, ranges[symbol.name.as_str()])
            });
            let limits = arena.limits(&ids, &indices);
            drop(arena);
            ((cx, ids), limits)
        };
        let (first, limits) = copy(&BTreeMap::new());
        Ok(if limits.is_empty() { first } else { copy(&limits).0 })
    }
}

impl Arena {
    fn narrowed_symbol(&mut self, symbol: &Symbol, Interval { lo, hi }: Interval) -> Id {
        if lo == hi {
            return match symbol.sort {
                Sort::Bool => self.truth(lo != 0.0),
                Sort::Int if lo.abs() < 9e15 => self.make_number("bind", Number::from(lo as i64)),
                _ => self.make_number("bind", Number::from(lo)),
            };
        }
        let whole = symbol.range() == (lo, hi);
        let domain = if whole { symbol.domain } else { Some((lo, hi)) };
        let narrowed = Symbol { domain, ..symbol.clone() };
        self.declare(narrowed).unwrap_or_else(|error| self.invalid(error))
    }

    /// The range of each index, by its position in the source, from the limits it runs between.
    fn limits(&self, roots: &[Id], indices: &HashMap<u32, Id>) -> BTreeMap<u32, Interval> {
        let sources: HashMap<Id, u32> = indices.iter().map(|(source, id)| (*id, *source)).collect();
        let of_index: HashMap<u32, u32> = sources
            .iter()
            .filter_map(|(id, source)| match self.node(*id) {
                Node::Index(at) => Some((*at, *source)),
                _ => None,
            })
            .collect();
        let mut limits: BTreeMap<u32, Interval> = BTreeMap::new();
        for id in self.reachable(roots) {
            let (Node::Sum { index, lo, hi, .. } | Node::FixedPoint { index, lo, hi, .. }) =
                self.node(id)
            else {
                continue;
            };
            let Some(source) = of_index.get(index) else { continue };
            let range = Interval::new(self.facts(*lo).lo, self.facts(*hi).hi);
            let hull =
                |other: &Interval| Interval::new(range.lo.min(other.lo), range.hi.max(other.hi));
            let range = limits.get(source).map_or(range, hull);
            limits.insert(*source, range);
        }
        limits.retain(|_, range| range.lo <= range.hi);
        limits
    }
}
