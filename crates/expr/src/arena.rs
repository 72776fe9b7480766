//! The arena: every node once, with its facts; symbols, indices, names and errors beside them.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use sglsim_units::{HashMap, HashSet};

use crate::build::Known;
use crate::dimension::Dimension;
use crate::facts::{Direction, Facts, FreeSet, slack};
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{ExprError, Sort, Symbol, math};

/// Position of an interned constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NumId(u32);

/// Name, unit and description of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) doc: String,
}

/// Append-only pool of hash-consed nodes: equal structure, equal id.
#[derive(Default)]
pub(crate) struct Arena {
    nodes: Vec<Node<NumId>>,
    facts: Vec<Facts>,
    dimensions: Vec<Known>,
    table: HashTable<u32>,
    numbers: Vec<Number>,
    number_ids: HashMap<Number, NumId>,
    pub(crate) symbols: Vec<Symbol>,
    symbol_ids: HashMap<String, u32>,
    pub(crate) indices: Vec<String>,
    /// Which indices are real numbers: the unknowns of fixed points.
    unknowns: HashSet<u32>,
    /// Least and greatest value of an index, where the sums over it are known beforehand.
    ranges: HashMap<u32, (f64, f64)>,
    pub(crate) tables: Vec<Arc<[f64]>>,
    table_ids: HashMap<Box<[u64]>, u32>,
    pub(crate) errors: Vec<ExprError>,
    labels: HashMap<Id, Label>,
    free_sets: Vec<Box<[u32]>>,
    free_ids: HashMap<Box<[u32]>, FreeSet>,
}

impl Arena {
    pub(crate) fn new() -> Arena {
        let mut arena = Arena::default();
        arena.intern_free(Box::default());
        arena
    }

    /// How many nodes there are: the index of the next one.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node, its constants still interned.
    pub(crate) fn node(&self, id: Id) -> &Node<NumId> {
        &self.nodes[id.index()]
    }

    pub(crate) fn facts(&self, id: Id) -> &Facts {
        &self.facts[id.index()]
    }

    pub(crate) fn number(&self, number: NumId) -> Number {
        self.numbers[number.0 as usize]
    }

    /// The node with its constants by value.
    pub(crate) fn shape(&self, id: Id) -> Node<Number> {
        self.node(id).map(|child| child, |number| self.number(*number))
    }

    /// What is known about the node's dimension.
    pub(crate) fn known(&self, id: Id) -> Known {
        self.dimensions[id.index()]
    }

    pub(crate) fn set_known(&mut self, id: Id, known: Known) {
        self.dimensions[id.index()] = known;
    }

    fn dimension_of(&self, symbol: u32) -> Dimension {
        let unit = &self.symbols[symbol as usize].unit;
        unit.parse().expect("units are checked at declaration")
    }

    /// The node's constant, if it is one.
    pub(crate) fn constant(&self, id: Id) -> Option<Number> {
        match self.node(id) {
            Node::Number(n) => Some(self.number(*n)),
            _ => None,
        }
    }

    /// Adds a node, or finds its equal. The caller has brought it into normal form.
    pub(crate) fn intern(&mut self, shape: &Node<Number>) -> Id {
        let node = shape.map(|child| child, |number| self.intern_number(*number));
        let hash = FxBuildHasher.hash_one(&node);
        let nodes = &self.nodes;
        if let Some(found) = self.table.find(hash, |at| nodes[*at as usize] == node) {
            return Id(*found);
        }
        let facts = self.derive(shape);
        let at = u32::try_from(self.nodes.len()).expect("an arena holds fewer than 2^32 nodes");
        self.nodes.push(node);
        self.facts.push(facts);
        let known = match shape {
            Node::Symbol(at) => Known::Exact(self.dimension_of(*at)),
            Node::Index(at) if !self.unknowns.contains(at) => Known::Exact(Dimension::PURE),
            Node::Number(_) => Known::Any,
            _ => Known::Unset,
        };
        self.dimensions.push(known);
        let nodes = &self.nodes;
        self.table.insert_unique(hash, at, |at| FxBuildHasher.hash_one(&nodes[*at as usize]));
        Id(at)
    }

    fn intern_number(&mut self, number: Number) -> NumId {
        let next = NumId(u32::try_from(self.numbers.len()).expect("fewer than 2^32 constants"));
        *self.number_ids.entry(number).or_insert_with(|| {
            self.numbers.push(number);
            next
        })
    }

    /// Declares a symbol, or finds its equal.
    pub(crate) fn declare(&mut self, symbol: Symbol) -> Result<Id, ExprError> {
        let position = self.register(symbol)?;
        Ok(self.intern(&Node::Symbol(position)))
    }

    /// The position of a symbol's declaration.
    pub(crate) fn register(&mut self, symbol: Symbol) -> Result<u32, ExprError> {
        symbol.validate()?;
        Ok(match self.symbol_ids.get(&symbol.name) {
            Some(at) => {
                let first = &self.symbols[*at as usize];
                if *first != symbol {
                    return Err(conflict(first, &symbol));
                }
                *at
            }
            None => {
                let at = u32::try_from(self.symbols.len()).expect("fewer than 2^32 symbols");
                self.symbol_ids.insert(symbol.name.clone(), at);
                self.symbols.push(symbol);
                at
            }
        })
    }

    pub(crate) fn new_index(&mut self, name: &str) -> Id {
        let at = self.register_index(name);
        self.intern(&Node::Index(at))
    }

    /// The position of a new index.
    pub(crate) fn register_index(&mut self, name: &str) -> u32 {
        let at = u32::try_from(self.indices.len()).expect("fewer than 2^32 indices");
        self.indices.push(name.to_owned());
        at
    }

    pub(crate) fn new_unknown(&mut self, name: &str) -> Id {
        let at = self.register_index(name);
        self.unknowns.insert(at);
        self.intern(&Node::Index(at))
    }

    /// A new index or unknown whose every value is in a range.
    pub(crate) fn new_ranged(&mut self, name: &str, unknown: bool, range: (f64, f64)) -> Id {
        let at = self.register_index(name);
        if unknown {
            self.mark_unknown(at);
        }
        self.ranges.insert(at, range);
        self.intern(&Node::Index(at))
    }

    /// The `ordinal`-th index of a name, counted from 1. If there are fewer, or that one is of the
    /// other kind, a new one.
    pub(crate) fn nth_index(&mut self, name: &str, ordinal: usize, unknown: bool) -> Id {
        let count = self.indices.iter().filter(|index| *index == name).count();
        for _ in count + 1..ordinal {
            self.register_index(name);
        }
        let mut alike = (0u32..).zip(&self.indices).filter(|(_, index)| *index == name);
        match alike.nth(ordinal - 1) {
            Some((at, _)) if self.is_unknown(at) == unknown => self.intern(&Node::Index(at)),
            _ if unknown => self.new_unknown(name),
            _ => self.new_index(name),
        }
    }

    /// Which of the indices of its name an index is, counted from 1.
    pub(crate) fn ordinal(&self, index: u32) -> usize {
        let name = &self.indices[index as usize];
        self.indices[..=index as usize].iter().filter(|other| *other == name).count()
    }

    /// The symbol of this name, if it was declared.
    pub(crate) fn symbol_named(&mut self, name: &str) -> Option<Id> {
        let at = *self.symbol_ids.get(name)?;
        Some(self.intern(&Node::Symbol(at)))
    }

    /// Whether an index is the unknown of a fixed point.
    pub(crate) fn is_unknown(&self, index: u32) -> bool {
        self.unknowns.contains(&index)
    }

    pub(crate) fn mark_unknown(&mut self, index: u32) {
        self.unknowns.insert(index);
    }

    /// The position of a table with these entries.
    pub(crate) fn register_table(&mut self, values: &[f64]) -> u32 {
        let bits: Box<[u64]> = values.iter().map(|value| value.to_bits()).collect();
        let next = u32::try_from(self.tables.len()).expect("fewer than 2^32 tables");
        *self.table_ids.entry(bits).or_insert_with(|| {
            self.tables.push(values.into());
            next
        })
    }

    /// The expression that stands for an error.
    pub(crate) fn invalid(&mut self, error: ExprError) -> Id {
        let at = u32::try_from(self.errors.len()).expect("fewer than 2^32 errors");
        self.errors.push(error);
        self.intern(&Node::Invalid(at))
    }

    pub(crate) fn error(&self, id: Id) -> Option<&ExprError> {
        match self.node(id) {
            Node::Invalid(at) => Some(&self.errors[*at as usize]),
            _ => None,
        }
    }

    pub(crate) fn label(&self, id: Id) -> Option<&Label> {
        self.labels.get(&id)
    }

    /// Names a node. Constants, symbols and indices have names of their own; the first name stays.
    pub(crate) fn set_label(&mut self, id: Id, label: Label) {
        let atom = matches!(
            self.node(id),
            Node::Number(_) | Node::Bool(_) | Node::Symbol(_) | Node::Index(_) | Node::Invalid(_)
        );
        if !atom {
            self.labels.entry(id).or_insert(label);
        }
    }

    /// Everything `roots` are made of, themselves included, children before parents.
    pub(crate) fn reachable(&self, roots: &[Id]) -> Vec<Id> {
        self.reachable_while(roots, |_| true)
    }

    /// As [`Arena::reachable`], not entering nodes that `enter` refuses (and leaving them out).
    pub(crate) fn reachable_while(&self, roots: &[Id], enter: impl Fn(Id) -> bool) -> Vec<Id> {
        let Some(last) = roots.iter().max() else { return Vec::new() };
        // One bit per id up to the last root. Children have smaller ids, so one sweep from the top
        // finds them all, and the result is sorted without sorting.
        let mut wanted = vec![0u64; last.index() / 64 + 1];
        let mut found = Vec::new();
        roots.iter().for_each(|root| wanted[root.index() / 64] |= 1 << (root.index() % 64));
        for word in (0..wanted.len()).rev() {
            while wanted[word] != 0 {
                let bit = 63 - wanted[word].leading_zeros();
                wanted[word] ^= 1 << bit;
                let id = Id(u32::try_from(word * 64).expect("ids are 32 bits") + bit);
                if enter(id) {
                    found.push(id);
                    self.node(id).for_each_child(|child| {
                        wanted[child.index() / 64] |= 1 << (child.index() % 64);
                    });
                }
            }
        }
        found.reverse();
        found
    }

    /// The symbols among everything the roots are made of, in order of declaration.
    pub(crate) fn symbols_of(&self, roots: &Roots) -> Vec<(Id, Symbol)> {
        let mut found: Vec<(u32, Id)> = self
            .reachable(&roots.all())
            .into_iter()
            .filter_map(|id| match self.node(id) {
                Node::Symbol(at) => Some((*at, id)),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(at, id)| (id, self.symbols[at as usize].clone())).collect()
    }

    pub(crate) fn is_symbol(&self, id: Id) -> bool {
        matches!(self.node(id), Node::Symbol(_))
    }

    /// Whether a node is valid and free of indices outside their sums.
    pub(crate) fn check_closed(&self, id: Id) -> Result<(), ExprError> {
        if let Some(error) = self.error(id) {
            return Err(error.clone());
        }
        match self.free(self.facts(id).free).first() {
            Some(at) => Err(ExprError::FreeIndex { index: self.indices[*at as usize].clone() }),
            None => Ok(()),
        }
    }

    /// The free indices of a set.
    pub(crate) fn free(&self, set: FreeSet) -> &[u32] {
        &self.free_sets[set.0 as usize]
    }

    /// Whether `index` occurs free in a node.
    pub(crate) fn depends(&self, id: Id, index: u32) -> bool {
        self.free(self.facts(id).free).contains(&index)
    }

    fn intern_free(&mut self, set: Box<[u32]>) -> FreeSet {
        if let Some(known) = self.free_ids.get(&set) {
            return *known;
        }
        let id = FreeSet(u32::try_from(self.free_sets.len()).expect("fewer than 2^32 index sets"));
        self.free_sets.push(set.clone());
        self.free_ids.insert(set, id);
        id
    }

    fn free_of(&mut self, shape: &Node<Number>) -> FreeSet {
        if let Node::Index(i) = shape {
            return self.intern_free(Box::new([*i]));
        }
        let mut union = FreeSet::EMPTY;
        let mut all: Vec<u32> = Vec::new();
        shape.for_each_child(|child| {
            let set = self.facts[child.index()].free;
            if set != union && set != FreeSet::EMPTY {
                all.extend_from_slice(&self.free_sets[set.0 as usize]);
                if union == FreeSet::EMPTY {
                    union = set;
                }
            }
        });
        all.sort_unstable();
        all.dedup();
        match shape {
            Node::Sum { index, lo, hi, .. } | Node::FixedPoint { index, lo, hi, .. } => {
                let in_limits = self.depends(*lo, *index) || self.depends(*hi, *index);
                all.retain(|i| i != index || in_limits);
                self.intern_free(all.into())
            }
            _ if all.len() == self.free(union).len() => union,
            _ => self.intern_free(all.into()),
        }
    }

    /// What is known about a node from what is known about its children.
    fn derive(&mut self, shape: &Node<Number>) -> Facts {
        let free = self.free_of(shape);
        let of = |id: &Id| self.facts(*id);
        let all_finite = |ids: &[Id]| ids.iter().all(|id| of(id).finite);
        let facts = match shape {
            Node::Number(n) => {
                let facts = Facts::constant(n.to_f64(), n.is_integer());
                // The nearest f64 of a rational is off by half a step.
                let exact = n.is_float() || n.is_integer() && n.to_f64().abs() < 9e15;
                if exact { facts } else { widened(facts) }
            }
            Node::Bool(_) => Facts::boolean(),
            Node::Symbol(at) => {
                let symbol = &self.symbols[*at as usize];
                let (lo, hi) = symbol.range();
                match symbol.sort {
                    Sort::Bool => Facts::boolean(),
                    sort => Facts { lo, hi, integer: sort == Sort::Int, ..Facts::any() }.settled(),
                }
            }
            Node::Index(at) => {
                let (lo, hi) =
                    self.ranges.get(at).copied().unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
                Facts { lo, hi, integer: !self.is_unknown(*at), ..Facts::any() }
            }
            Node::Invalid(_) => Facts { finite: false, ..Facts::any() },
            Node::Add { constant, terms } => {
                let start = Facts::constant(constant.to_f64(), constant.is_integer());
                let start = if constant.is_zero() { None } else { Some(widened(start)) };
                terms
                    .iter()
                    .map(|(term, c)| scaled(of(term), *c))
                    .fold(start, |sum, term| Some(sum.map_or(term, |s| s.add(&term))))
                    .unwrap_or(Facts::constant(0.0, true))
            }
            Node::Mul { coefficient, factors } => {
                let start = Facts::constant(1.0, true);
                let product = factors.iter().fold(start, |product, (base, e)| {
                    let power = of(base).pow(e.to_f64(), e.as_small_int());
                    product.mul(&power)
                });
                scaled(&product, *coefficient)
            }
            Node::Pow(a, b) => {
                let (a, b) = (of(a), of(b));
                let corners = [(a.lo, b.lo), (a.lo, b.hi), (a.hi, b.lo), (a.hi, b.hi)]
                    .map(|(x, y)| math::pow(math::max(x, 0.0), y));
                let known = a.non_negative() && corners.iter().all(|c| !c.is_nan());
                let low = corners.iter().copied().fold(f64::INFINITY, math::min);
                let high = corners.iter().copied().fold(f64::NEG_INFINITY, math::max);
                Facts {
                    lo: if known {
                        math::max(slack(low, Direction::Down), 0.0)
                    } else {
                        f64::NEG_INFINITY
                    },
                    hi: if known { slack(high, Direction::Up) } else { f64::INFINITY },
                    integer: a.integer && b.integer && b.non_negative(),
                    nonzero: a.positive(),
                    finite: a.finite
                        && b.finite
                        && (a.positive() || a.non_negative() && b.non_negative()),
                    ..Facts::any()
                }
            }
            Node::Exp(a) => {
                let a = of(a);
                Facts {
                    lo: math::max(slack(a.lo.exp(), Direction::Down), 0.0),
                    hi: slack(a.hi.exp(), Direction::Up),
                    nonzero: true,
                    finite: a.finite,
                    ..Facts::any()
                }
            }
            Node::Ln(a) => {
                let a = of(a);
                let lo = if a.lo > 0.0 { a.lo.ln() } else { f64::NEG_INFINITY };
                Facts {
                    lo: slack(lo, Direction::Down),
                    hi: slack(math::max(a.hi, 0.0).ln(), Direction::Up),
                    finite: a.finite && a.positive(),
                    ..Facts::any()
                }
            }
            Node::Max(list) => {
                list.iter().map(|id| *of(id)).reduce(|a, b| a.max(&b)).unwrap_or(Facts::any())
            }
            Node::Min(list) => {
                list.iter().map(|id| *of(id)).reduce(|a, b| a.min(&b)).unwrap_or(Facts::any())
            }
            Node::Ceil(a) => of(a).rounded(f64::ceil),
            Node::Floor(a) => of(a).rounded(f64::floor),
            Node::Le(a, b) | Node::Lt(a, b) | Node::Eq(a, b) => {
                Facts { finite: all_finite(&[*a, *b]), ..Facts::boolean() }
            }
            Node::And(list) | Node::Or(list) => {
                Facts { finite: all_finite(list), ..Facts::boolean() }
            }
            Node::Not(a) => Facts { finite: of(a).finite, ..Facts::boolean() },
            Node::Piecewise { arms, otherwise } => {
                let guards = arms.iter().all(|(guard, _)| of(guard).finite);
                let union = arms.iter().fold(*of(otherwise), |hull, (_, v)| hull.hull(of(v)));
                Facts { finite: union.finite && guards, ..union }
            }
            Node::MinOf(choices) => self.choice_facts(choices),
            Node::Assume { value, lo, hi, integer } => {
                let value = of(value);
                let lo = lo.map_or(value.lo, |lo| math::max(lo.to_f64(), value.lo));
                let hi = hi.map_or(value.hi, |hi| math::min(hi.to_f64(), value.hi));
                // An assumption that cannot hold is left to evaluation.
                let (lo, hi) = if lo <= hi { (lo, hi) } else { (value.lo, value.hi) };
                Facts { lo, hi, integer: value.integer || *integer, ..*value }
            }
            Node::Table { table, index } => {
                let (values, index) = (&self.tables[*table as usize], of(index));
                let last = values.len() as f64 - 1.0;
                let inside = 0.0 <= index.lo && index.hi <= last;
                let first = index.lo.clamp(0.0, last.max(0.0)) as usize;
                let end = (index.hi.clamp(0.0, last.max(0.0)) as usize + 1).min(values.len());
                let covered = &values[first.min(end)..end];
                Facts {
                    lo: covered.iter().copied().fold(f64::INFINITY, math::min),
                    hi: covered.iter().copied().fold(f64::NEG_INFINITY, math::max),
                    integer: covered.iter().all(|value| value.fract() == 0.0),
                    finite: inside && index.finite,
                    ..Facts::any()
                }
            }
            Node::FixedPoint { lo, hi, .. } => {
                Facts { lo: of(lo).lo, hi: of(hi).hi, finite: false, ..Facts::any() }
            }
            Node::Sum { lo, hi, body, .. } => {
                let (lo, hi, body) = (of(lo), of(hi), of(body));
                let most = math::max(hi.hi - lo.lo + 1.0, 0.0);
                let count = Facts { lo: 0.0, hi: most, ..Facts::any() };
                let sum = count.mul(body);
                Facts {
                    lo: slack(sum.lo, Direction::Down),
                    hi: slack(sum.hi, Direction::Up),
                    integer: body.integer,
                    nonzero: body.positive() && hi.lo >= lo.hi,
                    finite: lo.finite && hi.finite && body.finite,
                    ..Facts::any()
                }
                .settled()
            }
        };
        Facts { free, ..facts.settled() }
    }
}

fn conflict(first: &Symbol, second: &Symbol) -> ExprError {
    let describe = |s: &Symbol| format!("{} [{}] \"{}\"", s.allowed(), s.unit, s.doc);
    ExprError::ConflictingSymbol {
        name: first.name.clone(),
        first: describe(first),
        second: describe(second),
    }
}

fn widened(facts: Facts) -> Facts {
    if facts.integer {
        return facts;
    }
    Facts { lo: facts.lo.next_down(), hi: facts.hi.next_up(), ..facts }
}

/// The facts of `coefficient · x`.
fn scaled(x: &Facts, coefficient: Number) -> Facts {
    if coefficient.is_one() {
        return *x;
    }
    let constant = Facts::constant(coefficient.to_f64(), coefficient.is_integer());
    let product = widened(constant).mul(x);
    // The ends of an integer's range divide exactly more often than not: n / 64 is at most 1 for
    // n up to 64, and not a rounding above it.
    match coefficient.as_ratio() {
        Some((num, den)) if x.integer && num.unsigned_abs() < 1 << 20 && den < 1 << 40 => {
            let (num, den) = (num as f64, den as f64);
            let end = |value: f64, outward: fn(f64) -> f64| {
                let scaled = value * num;
                let exact = scaled.abs() < 9e15 && scaled % den == 0.0;
                if exact { scaled / den } else { outward(scaled / den) }
            };
            let (first, last) = if num < 0.0 { (x.hi, x.lo) } else { (x.lo, x.hi) };
            let (lo, hi) = (end(first, f64::next_down), end(last, f64::next_up));
            Facts { lo: lo.max(product.lo), hi: hi.min(product.hi), ..product }.settled()
        }
        _ => product,
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}
