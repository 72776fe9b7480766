//! Finding the decisions: from the value inward, through the terms of sums and the roots of fixed
//! points.

use sglsim_units::{HashMap, HashSet};

use super::{ActiveArm, Decision, NextArm, Terms};
use crate::arena::Arena;
use crate::facts::FreeSet;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{Context, Expr, ExprError, Program, Values};

/// Terms that are looked into, of all sums together.
const MAX_TERMS: usize = 64;

/// All decisions that lead to a value, and what they are made of.
pub(super) struct Decisions {
    /// Where the nodes are: terms of sums are written out in a context of their own.
    pub(super) cx: Context,
    /// Outermost first, one for each term of a sum.
    pub(super) decided: Vec<Decided>,
    /// The sums whose terms were looked into.
    pub(super) sums: Vec<Looked>,
    /// The expressions that came along, in that context.
    pub(super) others: Vec<Id>,
    /// What a node in a term of a sum was before the index had a value.
    origins: HashMap<Id, Id>,
}

/// A decision with everything it chooses from.
pub(super) struct Decided {
    pub(super) kind: Decision,
    pub(super) arms: Vec<Arm>,
    pub(super) chosen: usize,
    pub(super) told: ActiveArm,
}

/// What can be chosen, where its guard holds if it has one.
pub(super) struct Arm {
    pub(super) name: String,
    pub(super) value: Id,
    pub(super) guard: Option<Id>,
}

/// A sum with its limits.
pub(super) struct Looked {
    pub(super) name: String,
    pub(super) lo: Id,
    pub(super) hi: Id,
}

/// The arm that counts.
pub(super) fn choose(kind: Decision, arms: &[Arm], value: impl Fn(Id) -> f64) -> Option<usize> {
    let mut feasible = arms
        .iter()
        .enumerate()
        .filter(|(_, arm)| arm.guard.is_none_or(|guard| value(guard) != 0.0));
    if kind == Decision::Piecewise {
        return feasible.next().map(|(at, _)| at);
    }
    let sign = if kind == Decision::Max { -1.0 } else { 1.0 };
    // Of equal arms the first counts.
    let cost = |arm: &Arm| sign * value(arm.value);
    feasible.min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b))).map(|(at, _)| at)
}

/// How many terms a sum has.
pub(super) fn trips(lo: f64, hi: f64) -> usize {
    (hi - lo + 1.0).max(0.0) as usize
}

impl Decisions {
    /// Those of `root` at a point. `others` come along into the context of the result.
    pub(super) fn of(
        root: &Expr,
        others: &[&Expr],
        values: &Values,
    ) -> Result<Decisions, ExprError> {
        root.evaluate(values)?;
        let cx = if root.has_loops() { Context::new() } else { root.cx.clone() };
        let all: Vec<&Expr> = [root].into_iter().chain(others.iter().copied()).collect();
        let mut ids = cx.adopt(&all);
        let mut found = Decisions {
            others: ids.split_off(1),
            decided: Vec::new(),
            sums: Vec::new(),
            origins: HashMap::default(),
            cx,
        };
        found.look(ids[0], &root.point(values))?;
        Ok(found)
    }

    /// The decisions, those with one result in several terms of a sum told once.
    pub(super) fn told(&self) -> Vec<ActiveArm> {
        let mut told: Vec<ActiveArm> = Vec::new();
        for Decided { told: arm, .. } in &self.decided {
            let sum = arm.terms.as_ref().map(|terms| &terms.sum);
            let alike = |known: &&mut ActiveArm| {
                let of = known.terms.as_ref().map(|terms| &terms.sum);
                sum.is_some() && of == sum && known.decides == arm.decides && known.arm == arm.arm
            };
            match told.iter_mut().find(alike).and_then(|known| known.terms.as_mut()) {
                Some(terms) => terms.count += 1,
                None => told.push(arm.clone()),
            }
        }
        told
    }

    /// Looks into the whole, then into the terms of its sums, then into the sums in these.
    fn look(
        &mut self,
        root: Id,
        (names, inputs): &(Vec<String>, Vec<f64>),
    ) -> Result<(), ExprError> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let cx = self.cx.clone();
        let mut arena = cx.lock();
        let (mut seen, mut looked) = (HashSet::default(), HashSet::default());
        let mut left = MAX_TERMS;
        let mut wave: Vec<(Id, Option<Terms>)> = vec![(root, None)];
        while !wave.is_empty() {
            let roots: Vec<Id> = wave.iter().map(|(root, _)| *root).collect();
            let all = arena.reachable(&roots).into_iter();
            let closed: Vec<Id> =
                all.filter(|id| arena.facts(*id).free == FreeSet::EMPTY).collect();
            let mut values = vec![0.0; closed.len()];
            Program::of_nodes(&arena, &closed, &names)?.evaluator().eval(inputs, &mut values);
            let walk =
                Walk { arena: &arena, closed: &closed, values: &values, origins: &self.origins };
            let mut loops = Vec::new();
            for (root, terms) in &wave {
                walk.decisions(*root, terms.as_ref(), &mut seen, &mut self.decided, &mut loops);
            }
            let loops: Vec<(Node<Number>, Id, String, [f64; 2])> = loops
                .into_iter()
                // The body of a fixed point at its root contains it again.
                .filter(|(id, _)| looked.insert(*id))
                .map(|(id, name)| {
                    let shape = arena.shape(id);
                    let limits = match shape {
                        Node::Sum { lo, hi, .. } => [lo, hi].map(|limit| walk.value(limit)),
                        _ => [0.0; 2],
                    };
                    (shape, id, name, limits)
                })
                .collect();
            wave.clear();
            for (shape, id, name, limits) in loops {
                wave.extend(self.inside(&mut arena, (shape, id), name, limits, &mut left));
            }
        }
        Ok(())
    }

    /// The terms of a sum, the body of a fixed point at its root.
    fn inside(
        &mut self,
        arena: &mut Arena,
        (shape, id): (Node<Number>, Id),
        name: String,
        [from, to]: [f64; 2],
        left: &mut usize,
    ) -> Vec<(Id, Option<Terms>)> {
        match shape {
            Node::Sum { index, lo, hi, body } => {
                let count = trips(from, to);
                if count > *left {
                    return Vec::new();
                }
                *left -= count;
                let terms = Terms { sum: name.clone(), count: 1, of: count };
                self.sums.push(Looked { name, lo, hi });
                let term = |step: usize| {
                    let at = arena.make_number("term", Number::from(from as i64 + step as i64));
                    let root = self.with_index(arena, body, index, at)?;
                    Some((root, Some(terms.clone())))
                };
                (0..count).filter_map(term).collect()
            }
            Node::FixedPoint { index, body, .. } => {
                let root = self.with_index(arena, body, index, id);
                root.map(|root| (root, None)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// A body with a value in the place of its index; `None` if it has none there.
    fn with_index(&mut self, arena: &mut Arena, body: Id, index: u32, by: Id) -> Option<Id> {
        let inside = arena.reachable_while(&[body], |id| arena.depends(id, index));
        let place = arena.intern(&Node::Index(index));
        // A node that is there already keeps its meaning.
        let before = arena.len();
        let new = arena.rebuild(&inside, &[(place, by)].into_iter().collect());
        for (old, new) in inside.iter().zip(&new) {
            if new.index() >= before {
                let origin = self.origins.get(old).copied().unwrap_or(*old);
                self.origins.entry(*new).or_insert(origin);
            }
        }
        let root = new.last().copied().unwrap_or(body);
        arena.check_closed(root).ok().map(|()| root)
    }
}

impl Expr {
    fn has_loops(&self) -> bool {
        let arena = self.cx.lock();
        let is_loop =
            |id: &Id| matches!(arena.node(*id), Node::Sum { .. } | Node::FixedPoint { .. });
        arena.reachable(&[self.id]).iter().any(is_loop)
    }

    /// The names of the symbols and the values of a point that has one for each.
    fn point(&self, values: &Values) -> (Vec<String>, Vec<f64>) {
        let of = |name: &str| values.get(name).unwrap_or(f64::NAN);
        let symbols = self.free_symbols().into_iter();
        symbols.map(|symbol| (symbol.name.clone(), of(&symbol.name))).unzip()
    }
}

/// The value of every closed part at a point.
struct Walk<'a> {
    arena: &'a Arena,
    /// In ascending order.
    closed: &'a [Id],
    values: &'a [f64],
    origins: &'a HashMap<Id, Id>,
}

impl Walk<'_> {
    /// The decisions that `root` is made of, and the sums and fixed points, each with its name.
    fn decisions(
        &self,
        root: Id,
        terms: Option<&Terms>,
        seen: &mut HashSet<Id>,
        found: &mut Vec<Decided>,
        loops: &mut Vec<(Id, String)>,
    ) {
        // With the named part that each belongs to.
        let mut live: HashMap<Id, Option<Id>> = [(root, None)].into_iter().collect();
        // Parents have greater ids than their children.
        for id in self.closed.iter().rev() {
            let Some(owner) = live.get(id).copied() else { continue };
            // What does not depend on the index is decided once for all terms.
            let own = self.origins.contains_key(id);
            if !seen.insert(*id) && !own {
                continue;
            }
            let owner = if self.labelled(*id) { Some(*id) } else { owner };
            let node = self.arena.shape(*id);
            let decision = self.arms(&node).and_then(|(kind, arms)| {
                let chosen = choose(kind, &arms, |id| self.value(id))?;
                Some((kind, arms, chosen))
            });
            match decision {
                Some((kind, arms, chosen)) => {
                    live.entry(arms[chosen].value).or_insert(owner);
                    let labelled =
                        self.labelled(*id) || arms.iter().any(|arm| self.labelled(arm.value));
                    if kind == Decision::Choice || labelled {
                        let told = self.told(*id, kind, &arms, chosen);
                        let told = ActiveArm { terms: terms.filter(|_| own).cloned(), ..told };
                        found.push(Decided { kind, arms, chosen, told });
                    }
                }
                None => {
                    if let Node::Sum { index, .. } | Node::FixedPoint { index, .. } = node {
                        let over =
                            || format!("the sum over {}", self.arena.indices[index as usize]);
                        loops.push((*id, owner.map_or_else(over, |owner| self.name(owner))));
                    }
                    node.for_each_child(|child| {
                        live.entry(child).or_insert(owner);
                    });
                }
            }
        }
    }

    /// What a node chooses from, if it does.
    fn arms(&self, node: &Node<Number>) -> Option<(Decision, Vec<Arm>)> {
        let plain = |value: &Id| Arm { name: self.name(*value), value: *value, guard: None };
        Some(match node {
            Node::Max(arms) => (Decision::Max, arms.iter().map(plain).collect()),
            Node::Min(arms) => (Decision::Min, arms.iter().map(plain).collect()),
            Node::MinOf(choices) => {
                let arms = choices.iter().map(|choice| {
                    let guard = (!self.arena.always(choice.guard)).then_some(choice.guard);
                    Arm { name: choice.name.to_string(), value: choice.value, guard }
                });
                (Decision::Choice, arms.collect())
            }
            Node::Piecewise { arms, otherwise } => {
                let guarded = arms.iter().map(|(guard, value)| {
                    let name = format!("{} if {}", self.name(*value), self.text(*guard));
                    Arm { name, value: *value, guard: Some(*guard) }
                });
                let name = format!("{} otherwise", self.name(*otherwise));
                let last = Arm { name, value: *otherwise, guard: None };
                (Decision::Piecewise, guarded.chain([last]).collect())
            }
            _ => return None,
        })
    }

    fn told(&self, id: Id, kind: Decision, arms: &[Arm], chosen: usize) -> ActiveArm {
        let value = self.value(arms[chosen].value);
        let next = match kind {
            Decision::Piecewise => self.next_comparison(&arms[..=chosen]),
            _ => {
                let feasible = |arm: &Arm| arm.guard.is_none_or(|guard| self.value(guard) != 0.0);
                let others = arms.iter().enumerate();
                let others = others.filter(|(at, arm)| *at != chosen && feasible(arm));
                let next = others.map(|(_, arm)| {
                    let other = self.value(arm.value);
                    NextArm { arm: arm.name.clone(), value: other, margin: (other - value).abs() }
                });
                next.min_by(|a, b| a.margin.total_cmp(&b.margin))
            }
        };
        let (decides, arm) = (self.name(id), arms[chosen].name.clone());
        ActiveArm { decides, decision: kind, arm, value, next, terms: None }
    }

    /// The comparison that is closest to changing, in the guards of arms.
    fn next_comparison(&self, arms: &[Arm]) -> Option<NextArm> {
        let guards: Vec<Id> = arms.iter().filter_map(|arm| arm.guard).collect();
        let sides = |guard: Id| match *self.arena.node(guard) {
            Node::Le(a, b) | Node::Lt(a, b) | Node::Eq(a, b) => Some((guard, a, b)),
            _ => None,
        };
        let boolean = |id: Id| self.arena.facts(id).boolean;
        let comparisons = self.arena.reachable_while(&guards, boolean);
        let next = comparisons.into_iter().filter_map(sides).map(|(guard, a, b)| NextArm {
            arm: self.text(guard),
            value: self.value(a),
            margin: (self.value(a) - self.value(b)).abs(),
        });
        next.min_by(|a, b| a.margin.total_cmp(&b.margin))
    }

    fn value(&self, id: Id) -> f64 {
        let at = self.closed.binary_search(&id).expect("children of closed parts are closed");
        self.values[at]
    }

    fn labelled(&self, id: Id) -> bool {
        self.arena.label(id).is_some()
    }

    fn name(&self, id: Id) -> String {
        match self.arena.label(id) {
            Some(label) => label.name.clone(),
            None => self.text(id),
        }
    }

    /// As it was written, the index not yet replaced.
    fn text(&self, id: Id) -> String {
        self.arena.text(self.origins.get(&id).copied().unwrap_or(id), 80)
    }
}
