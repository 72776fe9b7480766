//! Extrema, branches, kernels and tables: binaries that say which arm counts, and rows that bind
//! the value to that arm and leave it free of the others.

use super::model::Linear;
use super::reformulate::{Reformulator, scale};
use crate::ExprError;
use crate::node::{Choice, Id};

/// Entries of a table that may be chosen from.
const MAX_ENTRIES: usize = 4096;

impl Reformulator<'_> {
    /// A maximum is not below any arm; where more is needed, it is also not above a chosen one.
    pub(super) fn extremum(&mut self, id: Id, arms: &[Id], max: bool) -> Result<Linear, ExprError> {
        // The ends of an arm's range, as those of a maximum.
        let ends = |writer: &Self, arm: Id| {
            let (lo, hi) = writer.range(arm);
            if max { (lo, hi) } else { (-hi, -lo) }
        };
        let sure = arms.iter().map(|arm| ends(self, *arm).0).fold(f64::NEG_INFINITY, f64::max);
        // An arm that cannot be above what another one always reaches is never needed.
        let mut kept: Vec<Id> =
            arms.iter().copied().filter(|arm| ends(self, *arm).1 > sure).collect();
        if !kept.iter().any(|arm| ends(self, *arm).0 == sure) {
            kept.extend(arms.iter().find(|arm| ends(self, **arm).0 == sure));
        }
        let polarity = self.polarity(id);
        let (bounded, chosen) =
            if max { (polarity.below, polarity.above) } else { (polarity.above, polarity.below) };
        let value = self.variable(id, if max { "max" } else { "min" });
        let sign = if max { 1.0 } else { -1.0 };
        let (lo, hi) = self.range(id);
        let size = scale(lo, hi);
        if bounded {
            for arm in arms {
                let above = value.clone().minus(self.of(*arm)).scaled(sign);
                self.row("bound", above, (0.0, f64::INFINITY), size);
            }
        }
        if chosen {
            let picks = self.picks("arm", kept.len());
            for (arm, pick) in kept.iter().zip(picks) {
                self.bind(&value, id, *arm, &pick, !max)?;
            }
        }
        Ok(value)
    }

    /// The value of the first arm whose guard holds.
    pub(super) fn piecewise(
        &mut self,
        id: Id,
        arms: &[(Id, Id)],
        otherwise: Id,
    ) -> Result<Linear, ExprError> {
        let guards: Result<Vec<Linear>, ExprError> =
            arms.iter().map(|(guard, _)| self.literal(*guard)).collect();
        let guards = guards?;
        let picks = match guards.as_slice() {
            [guard] => vec![guard.clone(), Linear::constant(1.0).minus(guard.clone())],
            _ => {
                let picks = self.picks("branch", guards.len() + 1);
                for (at, pick) in picks.iter().enumerate() {
                    // Picked only if its guard holds and none before it does.
                    let before =
                        guards[..at].iter().map(|g| Linear::constant(1.0).minus(g.clone()));
                    for limit in before.chain(guards.get(at).cloned()) {
                        self.at_most("branch", pick, limit);
                    }
                }
                picks
            }
        };
        let values: Vec<Id> = arms.iter().map(|(_, value)| *value).chain([otherwise]).collect();
        let constants: Option<Vec<f64>> =
            values.iter().map(|value| self.of(*value).as_constant()).collect();
        if let Some(constants) = constants {
            let terms = picks.into_iter().zip(constants);
            return Ok(terms.fold(Linear::default(), |sum, (pick, c)| sum.plus(pick.scaled(c))));
        }
        let value = self.variable(id, "piecewise");
        let polarity = self.polarity(id);
        for (arm, pick) in values.iter().zip(&picks) {
            if polarity.below {
                self.bind(&value, id, *arm, pick, true)?;
            }
            if polarity.above {
                self.bind(&value, id, *arm, pick, false)?;
            }
        }
        Ok(value)
    }

    /// The least value whose guard holds: not below one that may be picked, not above any that could.
    pub(super) fn least(&mut self, id: Id, choices: &[Choice]) -> Result<Linear, ExprError> {
        let guards: Result<Vec<Linear>, ExprError> =
            choices.iter().map(|choice| self.literal(choice.guard)).collect();
        let guards = guards?;
        let value = self.variable(id, "least");
        let polarity = self.polarity(id);
        if polarity.below {
            let picks = self.picks("kernel", choices.len());
            for ((choice, guard), pick) in choices.iter().zip(&guards).zip(&picks) {
                self.at_most("kernel", pick, guard.clone());
                self.bind(&value, id, choice.value, pick, true)?;
            }
        } else if !choices.iter().any(|choice| self.arena.always(choice.guard)) {
            let any = guards.iter().cloned().fold(Linear::default(), Linear::plus);
            self.row("kernel", any, (1.0, f64::INFINITY), 1.0);
        }
        if polarity.above {
            for (choice, guard) in choices.iter().zip(&guards) {
                self.bind(&value, id, choice.value, guard, false)?;
            }
        }
        Ok(value)
    }

    /// One binary for each entry that the index can reach.
    pub(super) fn entry(&mut self, id: Id, table: u32, index: Id) -> Result<Linear, ExprError> {
        let values = self.arena.tables[table as usize].clone();
        if values.len() > MAX_ENTRIES {
            return Err(super::no_form(self.arena, id, "its table has more than 4096 entries"));
        }
        let (lo, hi) = self.range(index);
        let (first, last) = (lo.max(0.0) as usize, hi.min(values.len() as f64 - 1.0));
        let reached = if last < 0.0 { 0..0 } else { first..last as usize + 1 };
        let picks = self.picks("entry", reached.len());
        let (mut at, mut value) = (self.of(index), Linear::default());
        for (position, pick) in reached.zip(picks) {
            at = at.minus(pick.clone().scaled(position as f64));
            value = value.plus(pick.scaled(values[position]));
        }
        self.row("entry", at, (0.0, 0.0), 1.0);
        Ok(value)
    }

    /// Binaries of which one is 1; the last of two is what the first is not.
    pub(super) fn picks(&mut self, name: &str, count: usize) -> Vec<Linear> {
        match count {
            0 | 1 => vec![Linear::constant(1.0); count],
            2 => {
                let first = self.binary(name);
                vec![first.clone(), Linear::constant(1.0).minus(first)]
            }
            _ => {
                let picks: Vec<Linear> = (0..count).map(|_| self.binary(name)).collect();
                let all = picks.iter().cloned().fold(Linear::default(), Linear::plus);
                self.row(name, all, (1.0, 1.0), 1.0);
                picks
            }
        }
    }

    fn at_most(&mut self, name: &str, pick: &Linear, limit: Linear) {
        if limit.as_constant() != Some(1.0) {
            self.row(name, pick.clone().minus(limit), (f64::NEG_INFINITY, 0.0), 1.0);
        }
    }

    /// Where `pick` is 1, `value` of the part `id` is not below (or not above) `arm`; where it is 0,
    /// nothing is said that the ranges of both do not say.
    fn bind(
        &mut self,
        value: &Linear,
        id: Id,
        arm: Id,
        pick: &Linear,
        below: bool,
    ) -> Result<(), ExprError> {
        let (lo, hi) = self.range(id);
        let size = scale(lo, hi);
        let difference = value.clone().minus(self.of(arm));
        if pick.as_constant() == Some(1.0) {
            let ends = if below { (0.0, f64::INFINITY) } else { (f64::NEG_INFINITY, 0.0) };
            self.row("arm", difference, ends, size);
            return Ok(());
        }
        let ((lo, hi), (arm_lo, arm_hi)) = (self.finite_range(id)?, self.finite_range(arm)?);
        let most = if below { arm_hi - lo } else { hi - arm_lo };
        if most <= 0.0 {
            return Ok(());
        }
        let free = Linear::constant(1.0).minus(pick.clone()).scaled(most);
        match below {
            true => self.row("arm", difference.plus(free), (0.0, f64::INFINITY), size),
            false => self.row("arm", difference.minus(free), (f64::NEG_INFINITY, 0.0), size),
        }
        Ok(())
    }
}
