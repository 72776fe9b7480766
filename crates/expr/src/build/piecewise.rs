//! Case distinctions.

use crate::arena::Arena;
use crate::node::{Id, Node};

impl Arena {
    /// The value of the first arm `(guard, value)` whose guard holds, else `otherwise`.
    pub(crate) fn piecewise(&mut self, arms: &[(Id, Id)], otherwise: Id) -> Id {
        let guards: Vec<Id> = arms.iter().map(|(guard, _)| *guard).collect();
        if let Some(bad) = self.refuse("piecewise guard", true, &guards) {
            return bad;
        }
        let mut otherwise = otherwise;
        let mut kept: Vec<(Id, Id)> = Vec::with_capacity(arms.len());
        for (guard, value) in arms {
            match self.node(*guard) {
                Node::Bool(false) => {}
                Node::Bool(true) => {
                    otherwise = *value;
                    break;
                }
                _ if kept.iter().any(|(earlier, _)| earlier == guard) => {}
                _ => kept.push((*guard, *value)),
            }
        }
        // Only now: an arm that can never be chosen may be anything.
        let values: Vec<Id> = kept.iter().map(|(_, value)| *value).chain([otherwise]).collect();
        if let Some(bad) = self.refuse("piecewise arm", false, &values) {
            return bad;
        }
        if let Node::Piecewise { arms, otherwise: last } = self.node(otherwise)
            && self.flattens(otherwise, arms.len())
            && kept.len() <= super::FLATTEN_LIMIT
        {
            let later = arms.iter().filter(|(guard, _)| kept.iter().all(|(g, _)| g != guard));
            let later: Vec<(Id, Id)> = later.copied().collect();
            otherwise = *last;
            kept.extend(later);
        }
        while kept.last().is_some_and(|(_, value)| *value == otherwise) {
            kept.pop();
        }
        if kept.is_empty() {
            return otherwise;
        }
        self.intern(&Node::Piecewise { arms: kept.into(), otherwise })
    }
}
