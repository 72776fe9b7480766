//! The choice among ways to get one value, of which the least that can be taken counts.

use crate::arena::Arena;
use crate::facts::Facts;
use crate::node::{Choice, Id, Node};

impl Arena {
    /// The least value of the choices whose guard holds.
    pub(crate) fn min_of(&mut self, choices: &[Choice]) -> Id {
        let guards: Vec<Id> = choices.iter().map(|choice| choice.guard).collect();
        if let Some(bad) = self.refuse("kernel guard", true, &guards) {
            return bad;
        }
        let mut kept: Vec<Choice> = Vec::with_capacity(choices.len());
        for choice in choices {
            let never = matches!(self.node(choice.guard), Node::Bool(false));
            let known = |k: &Choice| {
                k.value == choice.value && (k.guard == choice.guard || self.always(k.guard))
            };
            if !never && !kept.iter().any(known) {
                kept.push(choice.clone());
            }
        }
        // Only now: a choice that can never be taken may be anything.
        let values: Vec<Id> = kept.iter().map(|choice| choice.value).collect();
        if let Some(bad) = self.refuse("kernel", false, &values) {
            return bad;
        }
        match kept.as_slice() {
            [only] if self.always(only.guard) => only.value,
            _ => self.intern(&Node::MinOf(kept.into())),
        }
    }

    /// Whether a guard holds everywhere.
    pub(crate) fn always(&self, guard: Id) -> bool {
        matches!(self.node(guard), Node::Bool(true))
    }

    /// A choice that may not be taken can only lower the least value.
    pub(crate) fn choice_facts(&self, choices: &[Choice]) -> Facts {
        let facts = |choice: &Choice| *self.facts(choice.value);
        let certain = |choice: &&Choice| self.always(choice.guard);
        let Some(hull) = choices.iter().map(facts).reduce(|a, b| a.hull(&b)) else {
            // No value at all is one of a kind that was asked for, so binding keeps sorts.
            return Facts { finite: false, integer: true, ..Facts::any() };
        };
        let hi = choices.iter().filter(certain).map(|choice| facts(choice).hi);
        let feasible = choices.iter().any(|choice| self.always(choice.guard));
        let guards = choices.iter().all(|choice| self.facts(choice.guard).finite);
        Facts {
            hi: hi.fold(hull.hi, crate::math::min),
            finite: hull.finite && guards && feasible,
            ..hull
        }
    }

    /// The choices without those that another one, always at hand, never exceeds.
    pub(crate) fn undominated_choices(&self, choices: &[Choice]) -> Option<Vec<Choice>> {
        let dominated = |at: usize, choice: &Choice| {
            choices.iter().enumerate().any(|(other, by)| {
                let (mine, theirs) = (self.facts(choice.value), self.facts(by.value));
                let below = theirs.hi <= mine.lo && theirs.finite && mine.finite;
                // Of two that are always equal the first stays.
                let tie = mine.hi <= theirs.lo && at < other;
                other != at && self.always(by.guard) && below && !tie
            })
        };
        let kept: Vec<Choice> = choices
            .iter()
            .enumerate()
            .filter(|(at, choice)| !dominated(*at, choice))
            .map(|(_, choice)| choice.clone())
            .collect();
        (kept.len() < choices.len()).then_some(kept)
    }
}
